//! Any text is a chat template or an error, and rendering it ends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use limbeck_model::{ChatMessage, ChatTemplate};

fuzz_target!(|source: &str| {
    if let Ok(template) = ChatTemplate::new(source) {
        let messages = [
            ChatMessage::new("system", "Be kind."),
            ChatMessage::new("user", " hello\n"),
        ];
        let _ = template.render(&messages, true, "<s>", "</s>");
    }
});
