//! A file of requests: JSON lines, each with an `input`.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use crate::printer::WithHint;

/// One request.
pub struct Request {
    /// What the user says.
    pub input: String,
    /// Where it stands, for errors.
    pub place: String,
}

#[derive(Deserialize)]
struct Line {
    input: String,
}

/// Reads a file whole; empty lines are passed over.
pub fn read(path: &Path) -> anyhow::Result<Vec<Request>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut requests = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = format!("`{}`, line {}", path.display(), index + 1);
        let Line { input } = serde_json::from_str(line)
            .with_context(|| place.clone())
            .hint("each line is a JSON object with a text `input`")?;
        requests.push(Request { input, place });
    }
    Ok(requests)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn every_line_that_is_not_empty_is_a_request() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("requests.jsonl");
        fs::write(
            &path,
            "{\"input\": \"a\"}\n\n{\"input\": \"b\", \"id\": 2}\n",
        )
        .unwrap();
        let inputs: Vec<String> = read(&path).unwrap().into_iter().map(|r| r.input).collect();
        assert_eq!(inputs, ["a", "b"]);
        fs::write(&path, "{\"input\": \"a\"}\n{\"text\": \"b\"}\n").unwrap();
        let error = format!("{:#}", read(&path).map(|_| ()).unwrap_err());
        assert!(error.contains("line 2"), "{error}");
    }
}
