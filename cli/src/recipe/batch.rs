//! `batch` of a teacher: many questions are handed over at once, for less money, and answered within a day.

use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use limbeck_teacher::BatchOptions;

/// `batch` of a teacher.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchSection {
    /// The most requests in one batch.
    pub size: u32,
    /// How often the service is asked how far it is, in seconds.
    pub poll_s: f64,
    /// How long a run waits for its batches, in hours; what is open then is collected by the next run.
    pub wait_hours: f64,
    /// How many hours after it was sent a batch of which no word came back is handed over again, if the service does
    /// not list it then.
    pub resend_after_hours: f64,
}

impl BatchSection {
    /// As a harvest takes it.
    pub fn options(self) -> BatchOptions {
        BatchOptions {
            size: self.size as usize,
            poll: Duration::from_secs_f64(self.poll_s),
            patience: Duration::from_secs_f64(self.wait_hours * 3600.0),
            resend_after: Duration::from_secs_f64(self.resend_after_hours * 3600.0),
            ..BatchOptions::default()
        }
    }
}

impl Default for BatchSection {
    fn default() -> Self {
        let options = BatchOptions::default();
        Self {
            size: options.size as u32,
            poll_s: options.poll.as_secs_f64(),
            wait_hours: options.patience.as_secs_f64() / 3600.0,
            resend_after_hours: options.resend_after.as_secs_f64() / 3600.0,
        }
    }
}

/// Reads a table, or `true` as an empty one; `false` is as if the key were not there.
pub(super) fn switch_or_table<'de, D>(deserializer: D) -> Result<Option<BatchSection>, D::Error>
where
    D: Deserializer<'de>,
{
    struct SwitchOrTable;

    impl<'de> Visitor<'de> for SwitchOrTable {
        type Value = Option<BatchSection>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("`true`, `false`, or a table")
        }

        fn visit_bool<E: de::Error>(self, on: bool) -> Result<Self::Value, E> {
            Ok(on.then(BatchSection::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            BatchSection::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }

    deserializer.deserialize_any(SwitchOrTable)
}
