//! The header of a file: version, metadata and where the tensors lie. Everything here distrusts the file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::quantized::GgmlDType;

use super::cursor::Cursor;
use super::kind;
use super::value::MetadataValue;
use crate::ModelError;

/// `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: u32 = 4;
/// Where the data of tensors starts and how far apart they are, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// Where one tensor lies in the file and how it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Dimensions, outermost first (the file holds them the other way round).
    pub shape: Vec<usize>,
    /// How the elements are stored.
    pub kind: GgmlDType,
    /// First byte, from the start of the file.
    pub(super) start: usize,
    /// Bytes.
    pub(super) length: usize,
}

/// What the header says.
pub(super) struct Header {
    pub(super) metadata: BTreeMap<String, MetadataValue>,
    pub(super) tensors: HashMap<String, TensorInfo>,
}

/// Reads the header of `bytes`; every tensor is then known to lie inside them.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Header, ModelError> {
    let mut cursor = Cursor::new(path, bytes);
    check_magic(&mut cursor, bytes)?;
    // Tensors are read one by one, so that their count reserves nothing. The smallest metadata entry is an empty key,
    // a type and one byte.
    let tensor_count = cursor.u64("the tensor count")?;
    let entry_count = cursor.count(8 + 4 + 1, "the metadata")?;
    let metadata = read_metadata(&mut cursor, entry_count)?;
    let alignment = alignment(path, &metadata)?;
    let tensors = read_tensors(&mut cursor, tensor_count, alignment, bytes.len())?;
    Ok(Header { metadata, tensors })
}

fn check_magic(cursor: &mut Cursor<'_>, bytes: &[u8]) -> Result<(), ModelError> {
    let path = cursor.path();
    if !bytes.starts_with(b"GGUF") {
        return Err(ModelError::NotGguf {
            path: path.to_owned(),
            found: bytes[..bytes.len().min(4)].to_vec(),
        });
    }
    cursor.u32("the magic number")?;
    match cursor.u32("the version")? {
        2 | 3 => Ok(()),
        version => Err(ModelError::GgufVersion {
            path: path.to_owned(),
            version,
        }),
    }
}

fn read_metadata(
    cursor: &mut Cursor<'_>,
    count: usize,
) -> Result<BTreeMap<String, MetadataValue>, ModelError> {
    let mut metadata = BTreeMap::new();
    for _ in 0..count {
        let key = cursor.string("a metadata key")?;
        let type_code = cursor.u32(&key)?;
        let value = cursor.value(type_code, &key)?;
        if metadata.contains_key(&key) {
            return Err(ModelError::malformed(
                cursor.path(),
                format!("the key `{key}` is there twice"),
            ));
        }
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn alignment(path: &Path, metadata: &BTreeMap<String, MetadataValue>) -> Result<u64, ModelError> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(DEFAULT_ALIGNMENT);
    };
    // The format asks for a multiple of 8; so is every element of every block format aligned in the mapped file.
    match value.as_u64() {
        Some(alignment) if alignment.is_power_of_two() && (8..=1 << 20).contains(&alignment) => {
            Ok(alignment)
        }
        _ => Err(ModelError::WrongValue {
            path: path.to_owned(),
            key: "general.alignment".to_owned(),
            expected: "a power of two from 8 to 1048576",
            found: value.to_string(),
        }),
    }
}

fn read_tensors(
    cursor: &mut Cursor<'_>,
    count: u64,
    alignment: u64,
    file_length: usize,
) -> Result<HashMap<String, TensorInfo>, ModelError> {
    // `start` holds the offset into the data until the header's end, and so the data's start, is known.
    let mut tensors = HashMap::new();
    for _ in 0..count {
        let (name, info) = read_tensor(cursor, alignment)?;
        if tensors.insert(name.clone(), info).is_some() {
            return Err(ModelError::malformed(
                cursor.path(),
                format!("the tensor `{name}` is there twice"),
            ));
        }
    }
    let data_start = (cursor.position() as u64).next_multiple_of(alignment) as usize;
    for (name, info) in &mut tensors {
        let end = data_start
            .checked_add(info.start)
            .and_then(|start| start.checked_add(info.length));
        if end.is_none_or(|end| end > file_length) {
            return Err(ModelError::Truncated {
                path: cursor.path().to_owned(),
                what: format!("tensor `{name}`"),
                needed: (info.start as u64).saturating_add(info.length as u64),
                left: file_length.saturating_sub(data_start) as u64,
            });
        }
        info.start += data_start;
    }
    Ok(tensors)
}

fn read_tensor(
    cursor: &mut Cursor<'_>,
    alignment: u64,
) -> Result<(String, TensorInfo), ModelError> {
    let path = cursor.path();
    let name = cursor.string("a tensor name")?;
    let malformed =
        |reason: String| ModelError::malformed(path, format!("tensor `{name}` {reason}"));
    let dimensions = cursor.u32(&name)?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(malformed(format!(
            "has {dimensions} dimensions, expected 1 to 4"
        )));
    }
    let mut shape = Vec::with_capacity(dimensions as usize);
    let mut elements = 1_usize;
    for _ in 0..dimensions {
        let size = cursor.u64(&name)?;
        elements = usize::try_from(size)
            .ok()
            .and_then(|size| elements.checked_mul(size))
            .filter(|&elements| elements > 0)
            .ok_or_else(|| malformed(format!("has a dimension of {size}")))?;
        shape.push(size as usize);
    }
    let code = cursor.u32(&name)?;
    let kind = kind::from_code(code).ok_or_else(|| ModelError::Unsupported {
        path: path.to_owned(),
        feature: format!("tensor type {code} (of `{name}`)"),
    })?;
    // The file's first dimension is the row, and blocks never straddle rows.
    if !shape[0].is_multiple_of(kind.block_size()) {
        return Err(malformed(format!(
            "has rows of {}, expected a multiple of {} for {kind:?}",
            shape[0],
            kind.block_size()
        )));
    }
    shape.reverse();
    let offset = cursor.u64(&name)?;
    if !offset.is_multiple_of(alignment) {
        return Err(malformed(format!(
            "starts at {offset}, expected a multiple of {alignment}"
        )));
    }
    let start = usize::try_from(offset).map_err(|_| malformed(format!("starts at {offset}")))?;
    let length = (elements / kind.block_size())
        .checked_mul(kind.type_size())
        .filter(|_| elements.checked_mul(size_of::<f32>()).is_some())
        .ok_or_else(|| malformed(format!("has {elements} elements")))?;
    Ok((
        name,
        TensorInfo {
            shape,
            kind,
            start,
            length,
        },
    ))
}
