//! Token log-probabilities in few bytes.
//!
//! Format, version 1: the byte 1, the number of tokens, and for each token its id, its log-probability, the
//! number of alternatives and for each alternative its id and log-probability. Every number is an unsigned
//! LEB128 varint. A log-probability is stored as `round(-4096 * l)`, so it is off by at most 1/8192 of a
//! nat, and `u32::MAX` stands for "impossible". Twenty alternatives a token make about eighty bytes.

use crate::record::TokenLogProbabilities;

const VERSION: u8 = 1;
const STEPS_PER_NAT: f64 = 4096.0;
const IMPOSSIBLE: u32 = u32::MAX;
/// The fewest bytes that an alternative and a token can take, for telling lying counts before allocating.
const LEAST_ALTERNATIVE: usize = 2;
const LEAST_TOKEN: usize = 3;

/// Bytes that are no token log-probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// Another format.
    #[error("token log-probabilities of format {0}, expected 1")]
    Version(u8),
    /// The bytes end too early, or a count says more than there is.
    #[error("token log-probabilities end too early")]
    Truncated,
    /// A number above 32 bits.
    #[error("token log-probabilities hold a number above 32 bits")]
    Overflow,
    /// Something follows the last token.
    #[error("token log-probabilities are followed by {0} more bytes")]
    Trailing(usize),
}

/// Writes `tokens` in the compact format.
pub fn encode(tokens: &[TokenLogProbabilities]) -> Vec<u8> {
    let alternatives: usize = tokens.iter().map(|token| token.top.len()).sum();
    let mut out = Vec::with_capacity(8 + 5 * tokens.len() + 4 * alternatives);
    out.push(VERSION);
    write_varint(tokens.len() as u32, &mut out);
    for token in tokens {
        write_varint(token.id, &mut out);
        write_varint(quantise(token.log_probability), &mut out);
        write_varint(token.top.len() as u32, &mut out);
        for &(id, log_probability) in &token.top {
            write_varint(id, &mut out);
            write_varint(quantise(log_probability), &mut out);
        }
    }
    out
}

/// Reads what [`encode`] wrote. Never allocates more than a small multiple of the input's size.
pub fn decode(bytes: &[u8]) -> Result<Vec<TokenLogProbabilities>, CodecError> {
    let mut reader = Reader { bytes };
    let version = reader.byte()?;
    if version != VERSION {
        return Err(CodecError::Version(version));
    }
    let count = reader.count(LEAST_TOKEN)?;
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let id = reader.varint()?;
        let log_probability = restore(reader.varint()?);
        let alternatives = reader.count(LEAST_ALTERNATIVE)?;
        let mut top = Vec::with_capacity(alternatives);
        for _ in 0..alternatives {
            top.push((reader.varint()?, restore(reader.varint()?)));
        }
        tokens.push(TokenLogProbabilities {
            id,
            log_probability,
            top,
        });
    }
    if reader.bytes.is_empty() {
        Ok(tokens)
    } else {
        Err(CodecError::Trailing(reader.bytes.len()))
    }
}

/// Writes the bytes of tokens: their number, and for each its length and itself; numbers as varints.
pub fn encode_vocabulary(tokens: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + tokens.iter().map(|token| token.len() + 1).sum::<usize>());
    write_varint(tokens.len() as u32, &mut out);
    for token in tokens {
        write_varint(token.len() as u32, &mut out);
        out.extend_from_slice(token);
    }
    out
}

/// Reads what [`encode_vocabulary`] wrote.
pub fn decode_vocabulary(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CodecError> {
    let mut reader = Reader { bytes };
    let count = reader.count(1)?;
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.count(1)?;
        let (token, rest) = reader.bytes.split_at(length);
        tokens.push(token.to_vec());
        reader.bytes = rest;
    }
    if reader.bytes.is_empty() {
        Ok(tokens)
    } else {
        Err(CodecError::Trailing(reader.bytes.len()))
    }
}

fn quantise(log_probability: f32) -> u32 {
    let steps = (-f64::from(log_probability) * STEPS_PER_NAT).round();
    if steps.is_nan() || steps >= f64::from(IMPOSSIBLE) {
        return IMPOSSIBLE;
    }
    // Rounding errors put a certain token a little above probability 1; the cast takes those to 0.
    steps as u32
}

fn restore(steps: u32) -> f32 {
    // Adding 0 turns -0 into 0.
    let log_probability = (-f64::from(steps) / STEPS_PER_NAT + 0.0) as f32;
    // The numbers just below `IMPOSSIBLE` round to it in f32, and would be written as it.
    if quantise(log_probability) == IMPOSSIBLE {
        return f32::NEG_INFINITY;
    }
    log_probability
}

fn write_varint(mut number: u32, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number as u8 & 0x7f) | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, CodecError> {
        let (&first, rest) = self.bytes.split_first().ok_or(CodecError::Truncated)?;
        self.bytes = rest;
        Ok(first)
    }

    fn varint(&mut self) -> Result<u32, CodecError> {
        let mut number = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).map_err(|_| CodecError::Overflow);
            }
        }
        Err(CodecError::Overflow)
    }

    /// A count of things that take at least `least` bytes each, all of which must still be there.
    fn count(&mut self, least: usize) -> Result<usize, CodecError> {
        let count = self.varint()? as usize;
        if count > self.bytes.len() / least {
            return Err(CodecError::Truncated);
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens() -> impl Strategy<Value = Vec<TokenLogProbabilities>> {
        let log_probability = prop_oneof![-60.0_f32..0.0, Just(0.0), Just(f32::NEG_INFINITY)];
        let top = prop::collection::vec((any::<u32>(), log_probability.clone()), 0..25);
        let token = (any::<u32>(), log_probability, top).prop_map(|(id, log_probability, top)| {
            TokenLogProbabilities {
                id,
                log_probability,
                top,
            }
        });
        prop::collection::vec(token, 0..40)
    }

    fn close(a: f32, b: f32) -> bool {
        a == b || (a - b).abs() <= 1.3e-4
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_bytes_of_tokens_come_back(tokens in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..40)) {
            let encoded = encode_vocabulary(&tokens);
            prop_assert_eq!(decode_vocabulary(&encoded), Ok(tokens));
            for end in 0..encoded.len() {
                prop_assert!(decode_vocabulary(&encoded[..end]).is_err());
            }
        }

        #[test]
        fn what_is_written_reads_back(tokens in tokens()) {
            let read = decode(&encode(&tokens)).unwrap();
            prop_assert_eq!(read.len(), tokens.len());
            for (read, token) in read.iter().zip(&tokens) {
                prop_assert_eq!(read.id, token.id);
                prop_assert!(close(read.log_probability, token.log_probability));
                prop_assert_eq!(read.top.len(), token.top.len());
                for (read, top) in read.top.iter().zip(&token.top) {
                    prop_assert_eq!(read.0, top.0);
                    prop_assert!(close(read.1, top.1));
                }
            }
            // Reading loses nothing more: what was read writes the same bytes.
            prop_assert_eq!(encode(&read), encode(&tokens));
        }

        #[test]
        fn hostile_bytes_are_an_error_or_tokens(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Ok(tokens) = decode(&bytes) {
                prop_assert!(tokens.len() <= bytes.len() / LEAST_TOKEN);
            }
        }

        #[test]
        fn every_cut_is_an_error(tokens in tokens()) {
            let bytes = encode(&tokens[..tokens.len().min(3)]);
            for end in 0..bytes.len() {
                prop_assert!(decode(&bytes[..end]).is_err());
            }
        }
    }

    #[test]
    fn lies_are_told_apart() {
        assert_eq!(decode(&[]), Err(CodecError::Truncated));
        assert_eq!(decode(&[2, 0]), Err(CodecError::Version(2)));
        assert_eq!(decode(&[1, 0]), Ok(vec![]));
        assert_eq!(decode(&[1, 0, 9]), Err(CodecError::Trailing(1)));
        // Four thousand million tokens in no bytes.
        assert_eq!(
            decode(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err(CodecError::Truncated)
        );
        assert_eq!(
            decode(&[1, 0xff, 0xff, 0xff, 0xff, 0x1f]),
            Err(CodecError::Overflow)
        );
        assert_eq!(
            decode(&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0]),
            Err(CodecError::Overflow)
        );
    }

    #[test]
    fn every_number_is_written_as_it_was_read() {
        let edges = (IMPOSSIBLE - 300..=IMPOSSIBLE).chain((1 << 24) - 3..(1 << 24) + 3);
        for steps in edges.chain([0, 1, 4096]) {
            let read = restore(steps);
            assert_eq!(restore(quantise(read)), read, "{steps}");
        }
        assert_eq!(restore(IMPOSSIBLE - 1), f32::NEG_INFINITY);
        assert_eq!(restore(IMPOSSIBLE - 255), -1_048_575.94);
    }

    #[test]
    fn odd_numbers_have_a_place() {
        for (number, expected) in [
            (1e-7, 0.0),
            (-1e9, f32::NEG_INFINITY),
            (f32::NAN, f32::NEG_INFINITY),
            (f32::INFINITY, 0.0),
        ] {
            assert_eq!(restore(quantise(number)), expected, "{number}");
        }
        assert!(restore(0).is_sign_positive());
    }
}
