//! Tokens end in the middle of characters; text must not.

/// Turns a stream of bytes into pieces of whole characters.
#[derive(Debug, Default)]
pub(super) struct Utf8Pieces {
    /// The beginning of a character whose rest has not come yet: three bytes at most.
    unfinished: Vec<u8>,
}

impl Utf8Pieces {
    /// Adds bytes and returns the text that is complete now. Bytes that no character can begin or go on with become
    /// the replacement character.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.unfinished.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.unfinished);
        let mut text = String::new();
        for chunk in pending.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let at_end = invalid.as_ptr_range().end == pending.as_ptr_range().end;
            if at_end && is_unfinished(invalid) {
                self.unfinished = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    /// What is left at the end of the stream.
    pub(super) fn finish(self) -> &'static str {
        if self.unfinished.is_empty() {
            ""
        } else {
            "\u{fffd}"
        }
    }
}

/// Whether more bytes could make a character of these.
fn is_unfinished(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(stream: &[&[u8]]) -> (Vec<String>, &'static str) {
        let mut pieces = Utf8Pieces::default();
        let texts = stream.iter().map(|bytes| pieces.push(bytes)).collect();
        (texts, pieces.finish())
    }

    #[test]
    fn a_character_waits_for_its_last_byte() {
        let fox = "🦊".as_bytes();
        let (texts, rest) = pieces(&[b"a ", &fox[..1], &fox[1..3], &fox[3..], b"!"]);
        assert_eq!(texts, ["a ", "", "", "🦊", "!"]);
        assert_eq!(rest, "");
    }

    #[test]
    fn garbage_is_replaced_and_held_back_no_longer_than_needed() {
        assert_eq!(pieces(&[b"\xff", b"a"]).0, ["\u{fffd}", "a"]);
        assert_eq!(pieces(&[b"\xf0\x9f", b"a"]).0, ["", "\u{fffd}a"]);
        assert_eq!(pieces(&[b"x\xf0\x9f"]), (vec!["x".to_owned()], "\u{fffd}"));
    }

    #[test]
    fn any_cut_gives_the_lossy_whole() {
        let bytes = b"na\xc3\xafve \xf0\x9f\xa6\x8a \xe2\x82 \xed\xa0\x80 end\xc3";
        for cut in 0..=bytes.len() {
            let (texts, rest) = pieces(&[&bytes[..cut], &bytes[cut..]]);
            assert_eq!(
                texts.concat() + rest,
                String::from_utf8_lossy(bytes),
                "cut at {cut}"
            );
        }
    }
}
