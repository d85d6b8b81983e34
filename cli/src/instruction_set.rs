//! Which of the processor's instructions the kernels use, where the environment says so.

use std::env;

use anyhow::Context;

const VARIABLE: &str = "LIMBECK_INSTRUCTION_SET";

/// Has the kernels take the path that the environment names, if it names one. Nothing may have been computed before.
pub fn obey_environment() -> anyhow::Result<()> {
    let Some(name) = env::var_os(VARIABLE).filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    limbeck_model::use_instruction_set(&name.to_string_lossy())
        .with_context(|| format!("the variable `{VARIABLE}` cannot be obeyed"))
}
