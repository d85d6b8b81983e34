//! The alphabet of byte-level BPE: every byte has a printable character of its own, so that tokens are text.
//!
//! Printable Latin-1 stands for itself; the other 68 bytes take U+0100 upwards, in order (GPT-2, `encoder.py`).

/// Whether a byte is written as the character of the same number.
const fn is_printable(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF)
}

/// The character of each byte.
const CHARACTERS: [char; 256] = {
    let mut characters = ['\0'; 256];
    let mut next = 0x100_u32;
    let mut byte = 0_usize;
    while byte < 256 {
        characters[byte] = if is_printable(byte as u8) {
            byte as u8 as char
        } else {
            let character = char::from_u32(next);
            next += 1;
            match character {
                Some(character) => character,
                // U+0100 to U+0143 are characters.
                None => '\0',
            }
        };
        byte += 1;
    }
    characters
};

/// The character that stands for `byte` in a token.
pub fn character_of(byte: u8) -> char {
    CHARACTERS[usize::from(byte)]
}

/// The byte that `character` stands for, or `None` for a character outside the alphabet.
pub fn byte_of(character: char) -> Option<u8> {
    match u8::try_from(character) {
        Ok(byte) => is_printable(byte).then_some(byte),
        // Only the 68 characters after Latin-1 are left to search.
        Err(_) => (0..=255).find(|&byte| CHARACTERS[usize::from(byte)] == character),
    }
}

/// `text` in the alphabet, as tokens are written.
pub fn to_alphabet(text: &[u8]) -> String {
    text.iter().copied().map(character_of).collect()
}

/// The bytes that `token` stands for. A character outside the alphabet stands for its own UTF-8, as in the decoder of
/// Hugging Face's `tokenizers`.
pub fn to_bytes(token: &str) -> Vec<u8> {
    let known: Option<Vec<u8>> = token.chars().map(byte_of).collect();
    known.unwrap_or_else(|| token.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back() {
        for byte in 0..=255 {
            assert_eq!(byte_of(character_of(byte)), Some(byte));
        }
        assert_eq!(character_of(b' '), 'Ġ');
        assert_eq!(character_of(b'\n'), 'Ċ');
        assert_eq!(character_of(0xAD), 'Ń');
        assert_eq!(byte_of('語'), None);
        assert_eq!(byte_of(' '), None);
    }
}
