//! `limbeck verify` on the export of a whole run, as it is and after everything that may be done to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::{Limbeck, Project, names};

/// A run whose export the tests copy.
fn exported() -> &'static Project {
    static EXPORTED: OnceLock<Project> = OnceLock::new();
    EXPORTED.get_or_init(|| {
        let project = Project::choices(12);
        project.stage("run").arg("--no-gates").run().succeeds();
        project
    })
}

/// A copy of that export for one who means ill, with nothing else beside it.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new() -> Self {
        let copy = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(copy.at("")).unwrap();
        for name in names(&exported().work("export")) {
            fs::copy(exported().work("export").join(&name), copy.at(&name)).unwrap();
        }
        copy
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join("model").join(name)
    }

    fn verify(&self, options: &[&str]) -> (Option<i32>, Value) {
        let mut verify = Limbeck::new(self.folder.path()).args(["verify", "model", "--json"]);
        for option in options {
            verify = verify.arg(option);
        }
        let run = verify.run();
        let json = serde_json::from_str(&run.stdout).unwrap_or(Value::Null);
        (run.status.code(), json)
    }

    /// Something is wrong, and it is this file and nothing else.
    fn is_wrong_about(&self, file: &str, what: &str) {
        let (code, found) = self.verify(&[]);
        assert_eq!(code, Some(1), "{file}: {found:#}");
        let wrong = found["wrong"].as_array().unwrap();
        let is_it = |wrong: &Value| wrong["file"] == file && wrong["what"].as_str().unwrap().contains(what);
        assert!(wrong.iter().any(is_it), "no `{what}` about {file}: {found:#}");
        // The signature over all files may say the same again, but of no other file.
        assert!(wrong.iter().all(|wrong| wrong["file"] == file), "{found:#}");
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.at(name)).unwrap();
        assert!(text.contains(from), "`{name}` has no `{from}`:\n{text}");
        fs::write(self.at(name), text.replacen(from, to, 1)).unwrap();
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.at(name)).unwrap()).unwrap()
    }
}

fn key() -> String {
    let show = exported().limbeck().args(["keys", "show"]).run();
    show.succeeds().stdout.trim().to_owned()
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn an_export_is_verified_by_who_has_only_its_folder() {
    let copy = Copy::new();
    let files = names(&copy.at(""));
    for file in [
        "LICENSE",
        "NOTICE",
        "README.md",
        "bom.cdx.json",
        "checkpoint.txt",
        "ledger.json",
        "model.pub",
        "model.sig",
        "training-data.md",
        "training.intoto.json",
        "verdict.intoto.json",
    ] {
        assert!(files.iter().any(|name| name == file), "no {file} in {files:?}");
    }
    let (code, found) = copy.verify(&[]);
    assert_eq!((code, &found["wrong"]), (Some(0), &json!([])), "{found:#}");
    let open = found["open"].to_string();
    assert!(open.contains("whose key that is") && open.contains("made anew"), "{open}");
    // The checkpoint that the run left is the one to keep, and with the key nothing stays open.
    let checkpoint = path(&exported().work("checkpoint.txt"));
    let (code, found) = copy.verify(&["--key", &key(), "--checkpoint", &checkpoint]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_eq!(found["open"], json!([]), "{found:#}");
    assert!(found["checked"].to_string().contains("goes on from the checkpoint"), "{found:#}");
}
