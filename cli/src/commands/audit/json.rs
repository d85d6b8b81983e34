//! Findings for programs: `docs/audit.schema.json` describes them.

use limbeck_store::audit::{Area, Finding};
use serde_json::{Value, json};

use super::{Looked, NO_ADVICE, bits};

/// Everything that was found, as one value.
pub(super) fn value(looked: &Looked) -> Value {
    let findings: Vec<&Finding> = looked.areas.iter().flat_map(|(_, found)| found).collect();
    let areas: Vec<Area> = looked.areas.iter().map(|(area, _)| *area).collect();
    json!({
        "limbeck_version": env!("CARGO_PKG_VERSION"),
        "workdir": looked.workdir,
        "recipe": looked.recipe,
        "model": looked.lineage,
        "areas": areas,
        "intent": looked.intent,
        "findings": findings,
        "exit_code": bits(&looked.areas),
        "notice": NO_ADVICE,
    })
}
