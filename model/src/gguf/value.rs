//! Metadata values, as GGUF types them.

use std::fmt;

/// One metadata value.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataValue {
    /// An unsigned byte.
    U8(u8),
    /// A signed byte.
    I8(i8),
    /// An unsigned 16-bit integer.
    U16(u16),
    /// A signed 16-bit integer.
    I16(i16),
    /// An unsigned 32-bit integer.
    U32(u32),
    /// A signed 32-bit integer.
    I32(i32),
    /// An unsigned 64-bit integer.
    U64(u64),
    /// A signed 64-bit integer.
    I64(i64),
    /// A 32-bit float.
    F32(f32),
    /// A 64-bit float.
    F64(f64),
    /// A truth value.
    Bool(bool),
    /// Text.
    String(String),
    /// Many values of one type.
    Array(MetadataArray),
}

/// An array of values of one type, held flat so that a vocabulary costs little more than its bytes in the file.
#[derive(Clone, Debug, PartialEq)]
pub enum MetadataArray {
    /// Unsigned bytes.
    U8(Vec<u8>),
    /// Signed bytes.
    I8(Vec<i8>),
    /// Unsigned 16-bit integers.
    U16(Vec<u16>),
    /// Signed 16-bit integers.
    I16(Vec<i16>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Signed 32-bit integers.
    I32(Vec<i32>),
    /// Unsigned 64-bit integers.
    U64(Vec<u64>),
    /// Signed 64-bit integers.
    I64(Vec<i64>),
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts.
    String(Vec<String>),
    /// Arrays.
    Array(Vec<MetadataArray>),
}

/// The type codes of the format.
pub(super) mod code {
    pub const U8: u32 = 0;
    pub const I8: u32 = 1;
    pub const U16: u32 = 2;
    pub const I16: u32 = 3;
    pub const U32: u32 = 4;
    pub const I32: u32 = 5;
    pub const F32: u32 = 6;
    pub const BOOL: u32 = 7;
    pub const STRING: u32 = 8;
    pub const ARRAY: u32 = 9;
    pub const U64: u32 = 10;
    pub const I64: u32 = 11;
    pub const F64: u32 = 12;
}

impl MetadataValue {
    /// The value as a non-negative integer, from any integer type.
    pub fn as_u64(&self) -> Option<u64> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => Some(v.into()),
            Self::U64(v) => Some(v),
            Self::I8(v) => v.try_into().ok(),
            Self::I16(v) => v.try_into().ok(),
            Self::I32(v) => v.try_into().ok(),
            Self::I64(v) => v.try_into().ok(),
            _ => None,
        }
    }

    /// The value as a float, from either float type.
    pub fn as_f32(&self) -> Option<f32> {
        match *self {
            Self::F32(v) => Some(v),
            Self::F64(v) => Some(v as f32),
            _ => None,
        }
    }

    /// The value as text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value as a list of texts.
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Self::Array(MetadataArray::String(texts)) => Some(texts),
            _ => None,
        }
    }

    /// The format's code for the type of this value.
    pub(super) fn type_code(&self) -> u32 {
        match self {
            Self::U8(_) => code::U8,
            Self::I8(_) => code::I8,
            Self::U16(_) => code::U16,
            Self::I16(_) => code::I16,
            Self::U32(_) => code::U32,
            Self::I32(_) => code::I32,
            Self::U64(_) => code::U64,
            Self::I64(_) => code::I64,
            Self::F32(_) => code::F32,
            Self::F64(_) => code::F64,
            Self::Bool(_) => code::BOOL,
            Self::String(_) => code::STRING,
            Self::Array(_) => code::ARRAY,
        }
    }
}

impl MetadataArray {
    /// The format's code for the type of the elements.
    pub(super) fn element_code(&self) -> u32 {
        match self {
            Self::U8(_) => code::U8,
            Self::I8(_) => code::I8,
            Self::U16(_) => code::U16,
            Self::I16(_) => code::I16,
            Self::U32(_) => code::U32,
            Self::I32(_) => code::I32,
            Self::U64(_) => code::U64,
            Self::I64(_) => code::I64,
            Self::F32(_) => code::F32,
            Self::F64(_) => code::F64,
            Self::Bool(_) => code::BOOL,
            Self::String(_) => code::STRING,
            Self::Array(_) => code::ARRAY,
        }
    }

    /// Elements.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::I8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::U64(v) => v.len(),
            Self::I64(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::String(v) => v.len(),
            Self::Array(v) => v.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// For messages: a long text or array is told by its size.
impl fmt::Display for MetadataValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::U8(v) => write!(f, "{v}"),
            Self::I8(v) => write!(f, "{v}"),
            Self::U16(v) => write!(f, "{v}"),
            Self::I16(v) => write!(f, "{v}"),
            Self::U32(v) => write!(f, "{v}"),
            Self::I32(v) => write!(f, "{v}"),
            Self::U64(v) => write!(f, "{v}"),
            Self::I64(v) => write!(f, "{v}"),
            Self::F32(v) => write!(f, "{v}"),
            Self::F64(v) => write!(f, "{v}"),
            Self::Bool(v) => write!(f, "{v}"),
            Self::String(text) if text.len() <= 64 => write!(f, "{text:?}"),
            Self::String(text) => write!(f, "a text of {} bytes", text.len()),
            Self::Array(array) => write!(f, "an array of {} elements", array.len()),
        }
    }
}
