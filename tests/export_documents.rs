//! What an export carries beside the model: its documents, and the keys that sign it.

use std::fs;

use serde_json::{Value, json};

use crate::support::teacher::tiny_teacher;
use crate::support::{Project, names};
use crate::verify::{exported, key};

#[test]
fn keys_that_sign_models_are_made_once_and_for_their_user_alone() {
    let show = exported().limbeck().args(["keys", "show", "--model"]).run();
    let shown = show.succeeds().stdout;
    let carried = fs::read_to_string(exported().work("export/model.pub")).unwrap();
    assert_eq!(shown, carried);
    let file = exported().path().join("config/model.key");
    let secret = fs::read_to_string(&file).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // The same key, for a machine that has no such file; the same store and files give the same signature.
    let other = Project::choices(2);
    let show = other.limbeck().args(["keys", "show", "--model"]);
    let shown = show.env("LIMBECK_MODEL_KEY", &secret).run().succeeds();
    assert_eq!(shown.stdout, carried);
    let show = other.limbeck().args(["keys", "show", "--model"]);
    let failed = show.env("LIMBECK_MODEL_KEY", "hunter2").run();
    let failed = failed.fails_saying(["`LIMBECK_MODEL_KEY` holds no key", "hint: "]);
    assert!(!failed.stderr.contains("hunter2"), "{}", failed.stderr);
}

#[test]
fn an_export_without_keys_says_so() {
    let project = Project::choices(12);
    fs::write(project.path().join("config"), "no folder").unwrap();
    let run = project.stage("run").arg("--no-gates").run();
    run.succeeds().says(["the exported model is not signed"]);
    let files = names(&project.work("export"));
    for file in [
        "model.sig",
        "model.pub",
        "training.intoto.json",
        "verdict.intoto.json",
    ] {
        assert!(files.iter().all(|name| name != file), "{files:?}");
    }
    let verify = project.limbeck().args(["verify", "work/export"]).run();
    verify
        .succeeds()
        .prints(["its checkpoint is not signed", "no signature of the model"]);
    let verify = project
        .limbeck()
        .args(["verify", "work/export", "--json", "--key"]);
    let run = verify.arg(key()).run();
    assert_eq!(run.status.code(), Some(1), "{}", run.stdout);
}

#[test]
fn the_documents_say_what_is_in_the_store() {
    let export = |name: &str| fs::read_to_string(exported().work("export").join(name)).unwrap();
    let card = export("README.md");
    for said in [
        "license: \"apache-2.0\"",
        "It learned from a dataset of",
        "| tiny-teacher.gguf | local (in-process) |",
        "| `MIT` |",
        "Made to train, release-model; whether commercially is not said.",
        "came to `allow_with_duties`",
        "- keep the copyright and permission notice",
        "not legal advice",
    ] {
        assert!(card.contains(said), "no `{said}` in\n{card}");
    }
    assert!(export("LICENSE").contains("Apache License"));
    let notice = export("NOTICE");
    assert!(
        notice.contains("which is under mit") && notice.contains("THE SOFTWARE IS PROVIDED"),
        "{notice}"
    );
    // Where a file lay on the machine is nobody's business.
    for name in names(&exported().work("export")) {
        let bytes = fs::read(exported().work("export").join(&name)).unwrap();
        let folder = tiny_teacher().parent().unwrap().display().to_string();
        let is_told = bytes
            .windows(folder.len())
            .any(|part| part == folder.as_bytes());
        assert!(!is_told, "`{name}` tells of `{folder}`");
    }
    assert!(export("training-data.md").contains("### 2.5 Synthetic data"));
    let bom: Value = serde_json::from_str(&export("bom.cdx.json")).unwrap();
    assert_eq!(
        bom["metadata"]["component"]["licenses"][0]["license"]["id"],
        "Apache-2.0"
    );
    let files = bom["components"].as_array().unwrap();
    assert!(
        files.iter().any(|file| file["name"] == "tiny-Q8_0.gguf"),
        "{bom:#}"
    );
}

/// The files of a run in which a person clarified the licence of the teacher by a text.
fn clarified() -> (Project, String) {
    let project = Project::choices(12);
    let text = "MIT or Apache-2.0, says the one who made it.\n";
    project.file("tiny-license.txt", text);
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    let clarification = format!(
        "[[clarification]]\nof = \"tiny\"\nlicense = \"MIT OR Apache-2.0\"\ntext = \"tiny-license.txt\"\nsha256 = \"{digest}\"\n\n[harvest]\n"
    );
    project.edit(
        "name = \"tiny\"\nprovider",
        "name = \"tiny\"\nlicense = \"cc-by-nc-4.0\"\nprovider",
    );
    project.edit("[harvest]\n", &clarification);
    project.sign();
    (project, digest)
}

#[test]
fn a_clarified_licence_is_told_as_somebodys_word_wherever_the_licence_is() {
    let (project, digest) = clarified();
    let signer = project.signer();
    project.stage("run").arg("--no-gates").run().succeeds();
    let export = |name: &str| fs::read_to_string(project.work("export").join(name)).unwrap();
    let card = export("README.md");
    for said in [
        format!(
            "(MIT OR Apache-2.0, as {} declares)",
            signer.replace('_', "\\_")
        )
        .as_str(),
        "- the licence of tiny-teacher.gguf is MIT OR Apache-2.0, whatever is declared beside it, by `tiny-license.txt`",
        digest.as_str(),
    ] {
        assert!(card.contains(said), "no `{said}` in\n{card}");
    }
    let notice = export("NOTICE");
    let by =
        format!("MIT OR Apache-2.0, as {signer} declares by tiny-license.txt (SHA-256 {digest})");
    assert!(notice.contains(&by), "{notice}");
    assert!(notice.contains("THE SOFTWARE IS PROVIDED"), "{notice}");
    let bom: Value = serde_json::from_str(&export("bom.cdx.json")).unwrap();
    let mut components = bom["components"].as_array().unwrap().iter();
    let teacher = components
        .find(|one| one["name"] == "tiny-teacher.gguf")
        .unwrap();
    assert_eq!(
        teacher["licenses"],
        json!([{"expression": "MIT OR Apache-2.0", "acknowledgement": "concluded"}])
    );
    assert_eq!(teacher["properties"][0]["value"], by);
    // The receipts have both, the word and what was declared, and the ledger commits to them.
    let traces = ["traces", "export", "--workdir", "work"];
    let traces = project.limbeck().args(traces).run().succeeds().stdout;
    let receipt = serde_json::from_str::<Value>(traces.lines().next().unwrap()).unwrap();
    let receipt = &receipt["receipt"];
    assert_eq!(receipt["license"], "cc-by-nc-4.0");
    assert_eq!(
        receipt["clarification"],
        json!({
            "license": "MIT OR Apache-2.0",
            "reviewer": signer,
            "text": "tiny-license.txt",
            "sha256": digest,
        })
    );
    assert!(receipt["terms"].to_string().contains("MIT"), "{receipt:#}");
    let audit = |words: &[&str], code: i32| {
        let mut audit = project.limbeck().arg("audit");
        for word in words {
            audit = audit.arg(word);
        }
        audit.run().exits(code).stdout
    };
    audit(&["work"], 0);
    audit(&["work/export"], 0);

    // Another text, and what was declared counts again: not for commercial use, so that the intent decides.
    project.file("tiny-license.txt", "For research only.\n");
    project.edit("student_license", "commercial = true\nstudent_license");
    let denied = audit(
        &["terms", "licences", "recipe.toml", "--workdir", "work"],
        3,
    );
    for code in ["deny[licences::clarification-stale]", "deny[terms::denied]"] {
        assert!(denied.contains(code), "no {code} in {denied}");
    }
    // So it does where it was changed after it was signed.
    project.file(
        "tiny-license.txt",
        "MIT or Apache-2.0, says the one who made it.\n",
    );
    project.edit("license = \"MIT OR Apache-2.0\"", "license = \"MIT\"");
    let denied = audit(&["licences", "recipe.toml", "--workdir", "work"], 2);
    assert!(
        denied.contains("deny[licences::clarification-changed]"),
        "{denied}"
    );
}
