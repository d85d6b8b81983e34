//! Reasoning that comes in the text itself, between `<think>` tags.

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// Where the text proper begins, and the reasoning before it; `None` if there is none.
///
/// The tag must open the text; a tag that is never closed makes all of it reasoning, as when an answer is cut off
/// while the teacher still thinks. `open_in_prompt`: the opening tag may stand in the prompt, so that the text holds
/// the closing one alone.
pub(super) fn split(text: &str, open_in_prompt: bool) -> Option<(usize, &str)> {
    let start = text.len() - text.trim_start().len();
    let (thought_start, thought) = match text[start..].strip_prefix(OPEN) {
        Some(thought) => (start + OPEN.len(), thought),
        None if open_in_prompt && text.contains(CLOSE) && !mentions_open_first(text) => (0, text),
        None => return None,
    };
    let Some(length) = thought.find(CLOSE) else {
        return Some((text.len(), thought.trim()));
    };
    let after = thought_start + length + CLOSE.len();
    let answer = text[after..].trim_start();
    Some((text.len() - answer.len(), thought[..length].trim()))
}

/// An answer about the tags names the opening one before the closing one; reasoning whose opening tag is in the
/// prompt does not.
fn mentions_open_first(text: &str) -> bool {
    let close = text.find(CLOSE).unwrap_or(text.len());
    text[..close].contains(OPEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, open_in_prompt: bool, expected: Option<(&str, &str)>) {
        let found = split(text, open_in_prompt);
        assert_eq!(
            found.map(|(at, thought)| (thought, &text[at..])),
            expected,
            "{text:?}"
        );
    }

    #[test]
    fn the_tag_must_open_the_text() {
        check("<think>a b</think>\n\nc", false, Some(("a b", "c")));
        check(
            "\n <think>\na\n</think>c</think>",
            false,
            Some(("a", "c</think>")),
        );
        check("<think></think>c", false, Some(("", "c")));
        check("say <think>a</think>", false, None);
        check("", false, None);
    }

    #[test]
    fn a_tag_that_is_never_closed_makes_all_of_it_reasoning() {
        check("<think>a b", false, Some(("a b", "")));
        check("<think>a</thi", false, Some(("a</thi", "")));
        check("<thin", false, None);
    }

    #[test]
    fn the_opening_tag_may_stand_in_the_prompt() {
        check("a b\n</think>\n\nc", true, Some(("a b", "c")));
        check("a b\n</think>\n\nc", false, None);
        check("`<think>` and `</think>` are tags", true, None);
        check("no tags", true, None);
    }
}
