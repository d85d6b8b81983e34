//! Many ids in little memory.

use std::collections::HashSet;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A text that is no content address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id: not 64 hexadecimal digits")]
pub struct InvalidId(pub String);

/// The 32 bytes of a content address, see [`content_id`](crate::identity::content_id).
pub fn id_bytes(id: &str) -> Result<[u8; 32], InvalidId> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(id, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(InvalidId(id.to_owned())),
    }
}

/// Ids of prompts or of traces, 32 bytes each: there may be a million of them. They serialise to hex.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentIds(Vec<[u8; 32]>);

impl ContentIds {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id at `index`, in hex.
    ///
    /// # Panics
    /// Where there are not so many.
    pub fn get(&self, index: usize) -> String {
        hex::encode(self.0[index])
    }

    /// Adds an id in hex at the end.
    pub fn push(&mut self, id: &str) -> Result<(), InvalidId> {
        self.0.push(id_bytes(id)?);
        Ok(())
    }

    /// Adds all of `others` at the end.
    pub fn append(&mut self, others: &Self) {
        self.0.extend_from_slice(&others.0);
    }

    /// The ids in hex, in their order.
    pub fn iter(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(hex::encode)
    }

    /// The ids in hex, `size` at a time.
    ///
    /// # Panics
    /// Where `size` is 0.
    pub fn chunks(&self, size: usize) -> impl Iterator<Item = Vec<String>> {
        self.0
            .chunks(size)
            .map(|ids| ids.iter().map(hex::encode).collect())
    }

    /// What stands for all of them where they are too many to be told: their `count`, and the `sha256` of their bytes in
    /// their order.
    pub fn summary(&self) -> Value {
        let mut hasher = Sha256::new();
        for id in &self.0 {
            hasher.update(id);
        }
        json!({"count": self.0.len(), "sha256": hex::encode(hasher.finalize())})
    }

    /// Where each id stands that is among those before it.
    pub fn repeats(&self) -> HashSet<usize> {
        let sorted = self.sorted();
        let repeats = sorted.windows(2).filter(|pair| self.are_alike(pair));
        repeats.map(|pair| pair[1] as usize).collect()
    }

    /// How many different ones there are.
    pub fn distinct(&self) -> usize {
        let sorted = self.sorted();
        let repeats = sorted.windows(2).filter(|pair| self.are_alike(pair));
        self.0.len() - repeats.count()
    }

    /// Where they stand, by id and then by place.
    fn sorted(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..self.0.len() as u32).collect();
        sorted.sort_unstable_by_key(|&index| (&self.0[index as usize], index));
        sorted
    }

    fn are_alike(&self, pair: &[u32]) -> bool {
        self.0[pair[0] as usize] == self.0[pair[1] as usize]
    }
}

impl FromIterator<[u8; 32]> for ContentIds {
    fn from_iter<T: IntoIterator<Item = [u8; 32]>>(ids: T) -> Self {
        Self(Vec::from_iter(ids))
    }
}

impl From<Vec<[u8; 32]>> for ContentIds {
    fn from(ids: Vec<[u8; 32]>) -> Self {
        Self(ids)
    }
}

impl Serialize for ContentIds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ContentIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ids;

        impl<'de> Visitor<'de> for Ids {
            type Value = ContentIds;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of ids")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ContentIds, A::Error> {
                let mut ids = ContentIds::default();
                while let Some(id) = list.next_element::<String>()? {
                    ids.push(&id).map_err(de::Error::custom)?;
                }
                Ok(ids)
            }
        }

        deserializer.deserialize_seq(Ids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(numbers: &[u8]) -> ContentIds {
        numbers.iter().map(|&number| [number; 32]).collect()
    }

    #[test]
    fn ids_are_written_in_hex_and_read_back() {
        let written = serde_json::to_string(&ids(&[1, 255])).unwrap();
        assert_eq!(
            written,
            format!(r#"["{}","{}"]"#, "01".repeat(32), "ff".repeat(32))
        );
        assert_eq!(
            serde_json::from_str::<ContentIds>(&written).unwrap(),
            ids(&[1, 255])
        );
        assert_eq!(ids(&[1, 255]).get(1), "ff".repeat(32));
        for wrong in ["01".repeat(31), "0g".repeat(32), String::new()] {
            let read = serde_json::from_value::<ContentIds>(serde_json::json!([wrong]));
            let error = read.unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}` is no id")), "{error}");
        }
    }

    #[test]
    fn a_summary_is_that_of_these_ids_in_this_order() {
        let summary = ids(&[1, 2]).summary();
        assert_eq!(summary["count"], 2);
        assert_eq!(
            summary["sha256"],
            crate::identity::sha256_hex(&[[1; 32], [2; 32]].concat())
        );
        assert_ne!(ids(&[2, 1]).summary(), summary);
        assert_eq!(ContentIds::default().summary()["count"], 0);
    }

    #[test]
    fn only_what_came_before_is_a_repeat() {
        assert_eq!(ids(&[7, 1, 7, 2, 1, 7]).repeats(), HashSet::from([2, 4, 5]));
        assert!(ids(&[3, 2, 1]).repeats().is_empty());
    }

    #[test]
    fn chunks_hold_them_all_in_order() {
        let all = ids(&[1, 2, 3, 4, 5]);
        let chunks: Vec<Vec<String>> = all.chunks(2).collect();
        assert_eq!(chunks.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1]);
        assert!(chunks.into_iter().flatten().eq(all.iter()));
    }
}
