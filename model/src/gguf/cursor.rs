//! A reader over the bytes of a GGUF header that checks every length before it allocates.

use std::path::Path;

use super::value::{MetadataArray, MetadataValue, code};
use crate::ModelError;

/// Arrays of arrays deeper than this are refused; no model has more than one level, and recursion must end.
const MAX_ARRAY_DEPTH: usize = 8;

/// Bytes and a position in them; the path is for messages.
pub(super) struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, bytes: &'a [u8]) -> Self {
        Self {
            path,
            bytes,
            position: 0,
        }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Bytes not read yet.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.position
    }

    pub(super) fn path(&self) -> &'a Path {
        self.path
    }

    fn take(&mut self, count: usize, what: &str) -> Result<&'a [u8], ModelError> {
        let Some(taken) = self.bytes[self.position..].get(..count) else {
            return Err(self.truncated(what, count as u64));
        };
        self.position += count;
        Ok(taken)
    }

    fn truncated(&self, what: &str, needed: u64) -> ModelError {
        ModelError::Truncated {
            path: self.path.to_owned(),
            what: what.to_owned(),
            needed,
            left: self.left() as u64,
        }
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], ModelError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, ModelError> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    pub(super) fn u64(&mut self, what: &str) -> Result<u64, ModelError> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A number of things that take at least `smallest` bytes each. More than the rest of the file can hold is an
    /// error here, before anyone reserves memory for them.
    pub(super) fn count(&mut self, smallest: usize, what: &str) -> Result<usize, ModelError> {
        let count = self.u64(what)?;
        let needed = count.saturating_mul(smallest as u64);
        if needed > self.left() as u64 {
            return Err(self.truncated(what, needed));
        }
        Ok(count as usize)
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String, ModelError> {
        let length = self.count(1, what)?;
        let bytes = self.take(length, what)?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| ModelError::malformed(self.path, format!("{what} is not UTF-8")))
    }

    /// A value of the type `type_code`; `key` is for messages.
    pub(super) fn value(&mut self, type_code: u32, key: &str) -> Result<MetadataValue, ModelError> {
        Ok(match type_code {
            code::U8 => MetadataValue::U8(u8::from_le_bytes(self.array(key)?)),
            code::I8 => MetadataValue::I8(i8::from_le_bytes(self.array(key)?)),
            code::U16 => MetadataValue::U16(u16::from_le_bytes(self.array(key)?)),
            code::I16 => MetadataValue::I16(i16::from_le_bytes(self.array(key)?)),
            code::U32 => MetadataValue::U32(self.u32(key)?),
            code::I32 => MetadataValue::I32(i32::from_le_bytes(self.array(key)?)),
            code::F32 => MetadataValue::F32(f32::from_le_bytes(self.array(key)?)),
            code::BOOL => MetadataValue::Bool(self.boolean(key)?),
            code::STRING => MetadataValue::String(self.string(key)?),
            code::ARRAY => MetadataValue::Array(self.array_value(key, 0)?),
            code::U64 => MetadataValue::U64(self.u64(key)?),
            code::I64 => MetadataValue::I64(i64::from_le_bytes(self.array(key)?)),
            code::F64 => MetadataValue::F64(f64::from_le_bytes(self.array(key)?)),
            other => return Err(self.unknown_type(key, other)),
        })
    }

    fn unknown_type(&self, key: &str, type_code: u32) -> ModelError {
        ModelError::malformed(
            self.path,
            format!("`{key}` has the unknown value type {type_code}"),
        )
    }

    fn boolean(&mut self, key: &str) -> Result<bool, ModelError> {
        match self.array::<1>(key)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [other] => Err(ModelError::malformed(
                self.path,
                format!("`{key}` is the truth value {other}, expected 0 or 1"),
            )),
        }
    }

    fn array_value(&mut self, key: &str, depth: usize) -> Result<MetadataArray, ModelError> {
        if depth >= MAX_ARRAY_DEPTH {
            return Err(ModelError::malformed(
                self.path,
                format!("`{key}` nests arrays more than {MAX_ARRAY_DEPTH} deep"),
            ));
        }
        Ok(match self.u32(key)? {
            code::U8 => MetadataArray::U8(self.numbers(key, u8::from_le_bytes)?),
            code::I8 => MetadataArray::I8(self.numbers(key, i8::from_le_bytes)?),
            code::U16 => MetadataArray::U16(self.numbers(key, u16::from_le_bytes)?),
            code::I16 => MetadataArray::I16(self.numbers(key, i16::from_le_bytes)?),
            code::U32 => MetadataArray::U32(self.numbers(key, u32::from_le_bytes)?),
            code::I32 => MetadataArray::I32(self.numbers(key, i32::from_le_bytes)?),
            code::F32 => MetadataArray::F32(self.numbers(key, f32::from_le_bytes)?),
            code::U64 => MetadataArray::U64(self.numbers(key, u64::from_le_bytes)?),
            code::I64 => MetadataArray::I64(self.numbers(key, i64::from_le_bytes)?),
            code::F64 => MetadataArray::F64(self.numbers(key, f64::from_le_bytes)?),
            code::BOOL => {
                let count = self.count(1, key)?;
                MetadataArray::Bool(
                    (0..count)
                        .map(|_| self.boolean(key))
                        .collect::<Result<_, _>>()?,
                )
            }
            code::STRING => {
                // A string takes at least the eight bytes of its length.
                let count = self.count(8, key)?;
                MetadataArray::String(
                    (0..count)
                        .map(|_| self.string(key))
                        .collect::<Result<_, _>>()?,
                )
            }
            code::ARRAY => {
                // An array takes at least its element type and its length.
                let count = self.count(12, key)?;
                MetadataArray::Array(
                    (0..count)
                        .map(|_| self.array_value(key, depth + 1))
                        .collect::<Result<_, _>>()?,
                )
            }
            other => return Err(self.unknown_type(key, other)),
        })
    }

    fn numbers<T, const N: usize>(
        &mut self,
        key: &str,
        decode: impl Fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ModelError> {
        let count = self.count(N, key)?;
        // `count` has checked that the product fits into what is left.
        let bytes = self.take(count * N, key)?;
        Ok(bytes
            .as_chunks::<N>()
            .0
            .iter()
            .map(|&chunk| decode(chunk))
            .collect())
    }
}
