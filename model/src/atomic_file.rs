//! Files that are there whole or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::ModelError;

/// Writes a file beside `path`, syncs it and renames it over `path`: a crash or a full disk leaves the old file.
pub(crate) fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> Result<(), ModelError>,
) -> Result<(), ModelError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // Temporary files are private by default; a model is as readable as any other file the user makes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let beside = builder
        .prefix(".limbeck-")
        .tempfile_in(folder)
        .map_err(ModelError::io(path))?;
    let mut writer = BufWriter::with_capacity(1 << 20, beside);
    fill(&mut writer)?;
    let written = writer
        .into_inner()
        .map_err(|error| ModelError::io(path)(error.into_error()))?;
    written.as_file().sync_all().map_err(ModelError::io(path))?;
    written
        .persist(path)
        .map_err(|error| ModelError::io(path)(error.error))?;
    Ok(())
}
