//! A model that answers message after message.

use std::sync::Arc;

use anyhow::Context;
use limbeck_model::{
    Batcher, ChatMessage, ChatTemplate, Decoder, ModelFiles, OutputResult, Request, Sampling, Task,
    Tokenizer,
};
use limbeck_student::STUDENT_CHAT_TEMPLATE;

use super::utf8::Utf8Pieces;
use crate::printer::WithHint;

/// Control tokens that end a turn in the templates of common models, beside the tokenizer's own end token.
const TURN_ENDS: [&str; 6] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "</s>",
];

/// A model with what has been said so far.
pub(super) struct Speaker {
    batcher: Batcher,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    context_length: usize,
    sampling: Sampling,
    stop_tokens: Vec<u32>,
    /// The system message, if there is one, and the turns after it.
    messages: Vec<ChatMessage>,
    system: usize,
    remembers: bool,
    /// How many messages were answered: numbers the requests and varies the seed.
    turn: u64,
}

impl Speaker {
    pub(super) fn new(
        files: ModelFiles,
        decoder: Decoder,
        sampling: Sampling,
        system: Option<&str>,
    ) -> anyhow::Result<Self> {
        let ModelFiles {
            config,
            tokenizer,
            chat_template: template,
            ..
        } = files;
        let mut stop_tokens: Vec<u32> = TURN_ENDS
            .iter()
            .filter_map(|token| tokenizer.id_of(token))
            .filter(|&id| tokenizer.is_control(id))
            .chain([tokenizer.eos()])
            .collect();
        stop_tokens.sort_unstable();
        stop_tokens.dedup();
        let messages: Vec<ChatMessage> = system
            .map(|text| ChatMessage::new("system", text))
            .into_iter()
            .collect();
        if !messages.is_empty() && template.is_none() {
            return Err(anyhow::anyhow!(
                "the model has no chat template, so it cannot be told `--system`"
            ));
        }
        Ok(Self {
            batcher: Batcher::new(Arc::new(decoder), None, 1),
            remembers: template.as_ref().is_some_and(takes_several_turns),
            tokenizer,
            template,
            context_length: config.context_length,
            sampling,
            stop_tokens,
            system: messages.len(),
            messages,
            turn: 0,
        })
    }

    /// Forgets what was said; the system message stays.
    pub(super) fn forget(&mut self) {
        self.messages.truncate(self.system);
        self.turn = 0;
    }

    /// Answers a message, telling `on_piece` of every piece of text as it is made. Returns the whole.
    pub(super) fn answer(
        &mut self,
        message: &str,
        on_piece: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        if !self.remembers {
            self.messages.truncate(self.system);
        }
        self.messages.push(ChatMessage::new("user", message));
        let answered = self.generate(on_piece);
        match &answered {
            Ok(answer) => self
                .messages
                .push(ChatMessage::new("assistant", answer.clone())),
            // A message that could not be answered must not spoil the next.
            Err(_) => drop(self.messages.pop()),
        }
        self.turn += 1;
        answered
    }

    fn generate(
        &mut self,
        on_piece: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let tokens = self.prompt()?;
        let id = self.turn;
        let sampling = Sampling {
            seed: self.sampling.seed.wrapping_add(self.turn),
            ..self.sampling.clone()
        };
        let task = Task::Generate {
            sampling,
            stop_tokens: self.stop_tokens.clone(),
            stop: Vec::new(),
        };
        self.batcher.submit(Request {
            id,
            prefix: None,
            tokens,
            task,
        })?;
        let streamed = self.stream(id, on_piece);
        // After an error of the output the request would go on in the place of the next.
        self.batcher.cancel(id);
        streamed
    }

    fn stream(
        &mut self,
        id: u64,
        on_piece: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let mut answer = Answer::default();
        let mut seen = 0;
        loop {
            let outputs = self.batcher.step()?;
            let finished = outputs.into_iter().find_map(|output| match output.result {
                OutputResult::Generated { tokens, .. } => Some(tokens),
                OutputResult::Chosen { .. } => None,
            });
            let tokens = finished
                .as_deref()
                .unwrap_or_else(|| self.batcher.generated(id));
            for token in tokens
                .iter()
                .skip(seen)
                .filter(|token| !self.stop_tokens.contains(&token.id))
            {
                answer.push(&self.tokenizer.token_bytes(token.id), on_piece)?;
            }
            seen = tokens.len();
            if finished.is_some() || self.batcher.is_idle() {
                return answer.finish(on_piece);
            }
        }
    }

    /// The tokens to go on from. The oldest turns are left out when the context cannot hold all and a fair answer.
    fn prompt(&mut self) -> anyhow::Result<Vec<u32>> {
        let room_for_answer = self.sampling.max_tokens.min(self.context_length / 4).max(1);
        let most = self.context_length - room_for_answer.min(self.context_length);
        loop {
            let tokens = self.encode()?;
            let oldest = self.system..self.messages.len().min(self.system + 2);
            let is_last_message = self.messages.len() <= self.system + 1;
            if tokens.len() <= most || (is_last_message && tokens.len() < self.context_length) {
                return Ok(tokens);
            }
            if is_last_message {
                return Err(anyhow::anyhow!(
                    "the message has {} tokens, and the model’s context holds {}",
                    tokens.len(),
                    self.context_length
                ))
                .hint("ask in fewer words");
            }
            self.messages.drain(oldest);
        }
    }

    fn encode(&self) -> anyhow::Result<Vec<u32>> {
        let tokens = if let Some(template) = &self.template {
            template
                .encode(&self.tokenizer, &self.messages, true)
                .context("the model’s chat template cannot render this chat")?
        } else {
            let text = self.messages.last().map_or("", |message| &message.content);
            let bos = self.tokenizer.bos();
            bos.into_iter()
                .chain(self.tokenizer.encode(text, false))
                .collect()
        };
        anyhow::ensure!(!tokens.is_empty(), "the message is empty");
        Ok(tokens)
    }
}

/// Whether a second message makes sense with the first one still there. A student has only ever seen one; other
/// templates show it by rendering a chat of three turns without an error and with the first one in it.
fn takes_several_turns(template: &ChatTemplate) -> bool {
    const FIRST: &str = "limbeck-first-turn";
    let turns = [
        ChatMessage::new("user", FIRST),
        ChatMessage::new("assistant", "b"),
        ChatMessage::new("user", "c"),
    ];
    template.source() != STUDENT_CHAT_TEMPLATE
        && template
            .render(&turns, true, "", "")
            .is_ok_and(|text| text.contains(FIRST))
}

/// An answer as it grows, without white space at its ends.
#[derive(Default)]
struct Answer {
    pieces: Utf8Pieces,
    text: String,
    /// White space that is shown only if something follows it.
    held: String,
}

impl Answer {
    fn push(
        &mut self,
        bytes: &[u8],
        on_piece: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let piece = self.pieces.push(bytes);
        self.show(&piece, on_piece)
    }

    fn show(
        &mut self,
        piece: &str,
        on_piece: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.held.push_str(piece);
        if self.text.is_empty() {
            self.held = self.held.trim_start().to_owned();
        }
        let shown = self.held.trim_end().len();
        if shown > 0 {
            let rest = self.held.split_off(shown);
            on_piece(&self.held)?;
            self.text.push_str(&self.held);
            self.held = rest;
        }
        Ok(())
    }

    fn finish(
        mut self,
        on_piece: &mut dyn FnMut(&str) -> anyhow::Result<()>,
    ) -> anyhow::Result<String> {
        let rest = std::mem::take(&mut self.pieces).finish();
        self.show(rest, on_piece)?;
        Ok(self.text)
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use limbeck_model::Precision;
    use limbeck_model::testing::{tiny_config, tiny_tokenizer, tiny_weights};

    use super::*;

    const SEVERAL: &str =
        "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";

    fn speaker(
        template: Option<&str>,
        max_tokens: usize,
        system: Option<&str>,
    ) -> anyhow::Result<Speaker> {
        let config = tiny_config();
        let weights = tiny_weights(&config, 1);
        let decoder = Decoder::load(&config, &weights, Precision::F32).unwrap();
        let files = ModelFiles {
            config,
            tokenizer: tiny_tokenizer(),
            chat_template: template.map(|source| ChatTemplate::new(source).unwrap()),
            license: None,
            name: "tiny".into(),
            weights: Box::new(weights),
        };
        let sampling = Sampling {
            temperature: 0.0,
            top_p: 1.0,
            seed: 1,
            max_tokens,
            top_logprobs: 0,
        };
        Speaker::new(files, decoder, sampling, system)
    }

    pub(in super::super) fn tiny_speaker() -> Speaker {
        speaker(Some(SEVERAL), 8, None).unwrap()
    }

    fn ask(speaker: &mut Speaker, message: &str) -> (String, Vec<String>) {
        let mut pieces = Vec::new();
        let answer = speaker
            .answer(message, &mut |piece| {
                pieces.push(piece.to_owned());
                Ok(())
            })
            .unwrap();
        (answer, pieces)
    }

    #[test]
    fn the_pieces_are_the_answer() {
        let (answer, pieces) = ask(&mut tiny_speaker(), "hello");
        assert!(pieces.len() > 1, "it is streamed: {pieces:?}");
        assert_eq!(pieces.concat(), answer);
        assert_eq!(answer.trim(), answer);
    }

    #[test]
    fn turns_are_remembered_until_they_are_forgotten() {
        let mut speaker = tiny_speaker();
        let (first, _) = ask(&mut speaker, "hello");
        assert_eq!(speaker.messages.len(), 2);
        ask(&mut speaker, "hello");
        assert_eq!(speaker.messages.len(), 4);
        speaker.forget();
        assert_eq!(ask(&mut speaker, "hello").0, first);
    }

    #[test]
    fn the_oldest_turns_give_way() {
        let mut speaker = speaker(Some(SEVERAL), 8, Some("be brief")).unwrap();
        for _ in 0..12 {
            ask(&mut speaker, "0123456789");
            assert!(speaker.encode().unwrap().len() < speaker.context_length + 12);
        }
        assert_eq!(speaker.messages[0].role, "system");
        assert!(speaker.messages.len() < 12, "{}", speaker.messages.len());
        assert_eq!(speaker.messages[1].role, "user");
    }

    #[test]
    fn a_student_hears_one_message_at_a_time() {
        let mut student = speaker(Some(STUDENT_CHAT_TEMPLATE), 8, None).unwrap();
        let (first, _) = ask(&mut student, "hello");
        ask(&mut student, "other");
        assert_eq!(ask(&mut student, "hello").0, first);
        let mut bare = speaker(None, 8, None).unwrap();
        let (first, _) = ask(&mut bare, "hello");
        assert_eq!(ask(&mut bare, "hello").0, first);
    }

    #[test]
    fn a_failed_message_does_not_spoil_the_next() {
        let mut speaker = tiny_speaker();
        let (first, _) = ask(&mut speaker, "hello");
        speaker.forget();
        assert!(speaker.answer(&"x".repeat(900), &mut |_| Ok(())).is_err());
        assert!(
            speaker
                .answer("hi", &mut |_| anyhow::bail!("output is gone"))
                .is_err()
        );
        speaker.forget();
        assert_eq!(ask(&mut speaker, "hello").0, first);
    }

    #[test]
    fn a_system_message_needs_a_template() {
        let error = speaker(None, 8, Some("be brief")).err().unwrap();
        assert!(error.to_string().contains("no chat template"));
    }
}
