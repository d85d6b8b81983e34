//! `limbeck verify` on the export of a whole run, as it is and after everything that may be done to it. What is in its
//! documents is in `export_documents`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};

use crate::support::{Limbeck, Project, names};

/// A run whose export the tests copy, and read.
pub(crate) fn exported() -> &'static Project {
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
        let is_it =
            |wrong: &Value| wrong["file"] == file && wrong["what"].as_str().unwrap().contains(what);
        assert!(
            wrong.iter().any(is_it),
            "no `{what}` about {file}: {found:#}"
        );
        // The signature over all files may say the same again, but of no other file.
        assert!(wrong.iter().all(|wrong| wrong["file"] == file), "{found:#}");
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&fs::read_to_string(self.at(name)).unwrap()).unwrap()
    }
}

/// The key that its ledger is signed by.
pub(crate) fn key() -> String {
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
        assert!(
            files.iter().any(|name| name == file),
            "no {file} in {files:?}"
        );
    }
    let (code, found) = copy.verify(&[]);
    assert_eq!((code, &found["wrong"]), (Some(0), &json!([])), "{found:#}");
    let open = found["open"].to_string();
    assert!(
        open.contains("whose key that is") && open.contains("made anew"),
        "{open}"
    );
    // The checkpoint that the run left is the one to keep, and with the key nothing stays open.
    let checkpoint = path(&exported().work("checkpoint.txt"));
    let (code, found) = copy.verify(&["--key", &key(), "--checkpoint", &checkpoint]);
    assert_eq!(code, Some(0), "{found:#}");
    assert_eq!(found["open"], json!([]), "{found:#}");
    assert!(
        found["checked"]
            .to_string()
            .contains("goes on from the checkpoint"),
        "{found:#}"
    );
}

#[test]
fn each_file_that_is_changed_removed_or_added_is_named() {
    for file in names(&exported().work("export")) {
        let copy = Copy::new();
        let mut bytes = fs::read(copy.at(&file)).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(copy.at(&file), &bytes).unwrap();
        let (code, found) = copy.verify(&[]);
        // Of the evidence, some bytes say in which form it is; with another it is not understood at all.
        assert!(
            code == Some(1) || (file == "ledger.json" && code == Some(2)),
            "{file}: {found:#}"
        );
        if code == Some(1) {
            let wrong = found["wrong"].to_string();
            assert!(wrong.contains(&file), "{file}: {wrong}");
        }

        let copy = Copy::new();
        fs::remove_file(copy.at(&file)).unwrap();
        match file.as_str() {
            "ledger.json" => assert_eq!(copy.verify(&[]).0, Some(2)),
            "checkpoint.txt" => assert_eq!(copy.verify(&[]).0, Some(1)),
            file => copy.is_wrong_about(file, "it is missing"),
        }
    }
    for added in ["notes.txt", "deep/er/model.safetensors", ".hidden"] {
        let copy = Copy::new();
        fs::create_dir_all(copy.at(added).parent().unwrap()).unwrap();
        fs::write(copy.at(added), "more").unwrap();
        copy.is_wrong_about(added, "it was added");
    }
    // What a hub puts beside a model is told and not held against anybody.
    let copy = Copy::new();
    fs::write(copy.at(".gitattributes"), "*.gguf filter=lfs").unwrap();
    let (code, found) = copy.verify(&[]);
    assert_eq!(code, Some(0), "{found:#}");
    assert!(
        found["open"]
            .to_string()
            .contains("`.gitattributes` belongs to git"),
        "{found:#}"
    );
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_folder_is_not_followed() {
    let copy = Copy::new();
    fs::rename(copy.at("NOTICE"), copy.folder.path().join("NOTICE")).unwrap();
    std::os::unix::fs::symlink("../NOTICE", copy.at("NOTICE")).unwrap();
    copy.is_wrong_about("NOTICE", "neither a file nor a folder");
    // The folder itself may be named by a link, as it is in a work folder.
    let verify = ["verify", "work/export"];
    exported()
        .limbeck()
        .args(verify)
        .run()
        .succeeds()
        .prints(["Nothing is wrong"]);
}

#[test]
fn proofs_that_are_cut_and_records_that_are_changed_do_not_hold() {
    let change = |change: &dyn Fn(&mut Value), what: &str| {
        let copy = Copy::new();
        let mut evidence = copy.json("ledger.json");
        change(&mut evidence);
        fs::write(copy.at("ledger.json"), evidence.to_string()).unwrap();
        copy.is_wrong_about("ledger.json", what);
    };
    change(
        &|evidence| {
            drop(
                evidence["entries"][0]["proof"]
                    .as_array_mut()
                    .unwrap()
                    .pop(),
            );
        },
        "hashes where",
    );
    change(
        &|evidence| evidence["entries"][0]["proof"][0] = json!("00".repeat(32)),
        "another root",
    );
    change(
        &|evidence| evidence["entries"][0]["proof"][0] = json!("no hash"),
        "is no hash",
    );
    change(
        &|evidence| evidence["entries"][0]["index"] = json!(u64::MAX),
        "no leaf",
    );
    change(
        &|evidence| evidence["entries"] = json!([]),
        "no record of kind `export`",
    );
    change(
        &|evidence| {
            let export = evidence["entries"][0].clone();
            evidence["entries"].as_array_mut().unwrap().push(export);
        },
        "two records",
    );
    change(
        &|evidence| {
            let record = evidence["entries"][0]["record"]
                .as_str()
                .unwrap()
                .to_owned();
            evidence["entries"][0]["record"] =
                json!(record.replacen("README.md", "../../etc/passwd", 1));
        },
        "another root",
    );
    change(&|evidence| evidence["more"] = json!(1), "unknown field");
    let copy = Copy::new();
    let mut evidence = copy.json("ledger.json");
    evidence["key"] = json!("limbeck+00000000+AAAA");
    fs::write(copy.at("ledger.json"), evidence.to_string()).unwrap();
    let (code, found) = copy.verify(&[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert!(found["wrong"].to_string().contains("`key`: "), "{found:#}");
}

#[test]
fn text_that_is_no_json_or_far_too_much_is_named() {
    for (file, text) in [
        ("ledger.json", "{".to_owned()),
        ("ledger.json", "[".repeat(100_000)),
        ("model.sig", "null".to_owned()),
        ("model.sig", "{\"a\":".repeat(50_000)),
        ("training.intoto.json", "[]".to_owned()),
        ("checkpoint.txt", "\0".to_owned()),
        (
            "model.pub",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned(),
        ),
    ] {
        let copy = Copy::new();
        fs::write(copy.at(file), &text).unwrap();
        let (code, found) = copy.verify(&[]);
        assert_eq!(code, Some(1), "{file}: {found:#}");
        assert!(found["wrong"].to_string().contains(file), "{found:#}");
    }
    // More than is ever read: a file of holes, so that it costs nothing.
    let copy = Copy::new();
    let large = fs::File::create(copy.at("ledger.json")).unwrap();
    large.set_len(64 << 20).unwrap();
    let (code, found) = copy.verify(&[]);
    assert_eq!(code, Some(1), "{found:#}");
    assert!(
        found["wrong"][0]["what"].to_string().contains("too large"),
        "{found:#}"
    );
}

#[test]
fn another_key_or_another_history_is_exposed() {
    let copy = Copy::new();
    let other = Project::choices(12);
    other.stage("run").arg("--no-gates").run().succeeds();
    let shown = other
        .limbeck()
        .args(["keys", "show"])
        .run()
        .succeeds()
        .stdout;
    let (code, found) = copy.verify(&["--key", shown.trim()]);
    assert_eq!(code, Some(1), "{found:#}");
    let wrong = found["wrong"].to_string();
    assert!(
        wrong.contains("no key that is trusted") && wrong.contains("training.intoto.json"),
        "{wrong}"
    );
    // Of several keys one is enough.
    let (code, found) = copy.verify(&["--key", shown.trim(), "--key", &key()]);
    assert_eq!(code, Some(0), "{found:#}");
    // The same model, made anew with a key of one's own: all of it fits, but for what is trusted from outside.
    let forged = Copy::new();
    for name in names(&other.work("export")) {
        fs::copy(other.work("export").join(&name), forged.at(&name)).unwrap();
    }
    assert_eq!(forged.verify(&[]).0, Some(0));
    assert_eq!(forged.verify(&["--key", &key()]).0, Some(1));
    let checkpoint = path(&exported().work("checkpoint.txt"));
    let (code, found) = forged.verify(&["--checkpoint", &checkpoint]);
    assert_eq!(code, Some(1), "{found:#}");
    assert!(
        found["wrong"]
            .to_string()
            .contains("and the one kept elsewhere of"),
        "{found:#}"
    );
    // Model and signature of one with the ledger of the other.
    fs::copy(copy.at("ledger.json"), forged.at("ledger.json")).unwrap();
    assert_eq!(forged.verify(&[]).0, Some(1));
}

#[test]
fn the_ledger_is_held_to_what_was_kept_of_it_before() {
    let project = Project::choices(12);
    let kept = |name: &str| {
        fs::copy(project.work("checkpoint.txt"), project.path().join(name)).unwrap();
    };
    project.stage("train").run().succeeds();
    kept("before.txt");
    project.stage("run").arg("--no-gates").run().succeeds();
    let verify = |checkpoint: &str| {
        let verify = [
            "verify",
            "work/export",
            "--json",
            "--checkpoint",
            checkpoint,
        ];
        let run = project.limbeck().args(verify).run();
        (run.status.code(), run.stdout)
    };
    let (code, found) = verify("before.txt");
    assert_eq!(code, Some(0), "{found}");
    assert!(found.contains("goes on from the checkpoint"), "{found}");
    // One of another history.
    let text = fs::read_to_string(project.path().join("before.txt")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let other = format!("{}\n{}\n{}=\n", lines[0], lines[1], "A".repeat(43));
    project.file("other.txt", &other);
    let (code, found) = verify("other.txt");
    assert_eq!(code, Some(1), "{found}");
    assert!(found.contains("does not go on from"), "{found}");
    // One that the folder has no proof about, and one that came later, cannot be told of.
    for size in ["2", "999999"] {
        project.file(
            "strange.txt",
            &format!("{}\n{size}\n{}\n", lines[0], lines[2]),
        );
        let (code, found) = verify("strange.txt");
        assert_eq!(code, Some(2), "{found}");
        assert!(
            found.contains("limbeck audit integrity --checkpoint"),
            "{found}"
        );
    }
    project.file("none.txt", "no checkpoint");
    let verify = ["verify", "work/export", "--checkpoint", "none.txt"];
    project
        .limbeck()
        .args(verify)
        .run()
        .fails_saying(["the checkpoint that was kept is none"]);
}

#[test]
fn what_cannot_be_verified_is_an_error() {
    let project = Project::choices(2);
    let verify = |arguments: &[&str], said: &str| {
        let mut verify = project.limbeck().args(["verify"]);
        for argument in arguments {
            verify = verify.arg(argument);
        }
        verify.run().fails_saying([said]);
    };
    verify(&["none"], "cannot read `none`");
    verify(&["."], "there is no `ledger.json` in it");
    verify(&[".", "--key", "hunter2"], "`hunter2` is no public key");
    verify(
        &[".", "--checkpoint", "none"],
        "cannot read the checkpoint `none`",
    );
    project.file(
        "ledger.json",
        r#"{"limbeck": "ledger-evidence/2", "entries": {}}"#,
    );
    verify(&["."], "this version reads `ledger-evidence/1`");
}
