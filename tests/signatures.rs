//! What persons sign of a recipe, whose signatures count, and what happens to what is changed afterwards.

use std::fs;

use base64::Engine;
use serde_json::{Value, json};

use crate::support::review::REVIEWER;
use crate::support::{Finished, Limbeck, Project};

/// A recipe that learns from answers of `OpenAI`'s, with a declaration that nobody has signed.
fn declared() -> Project {
    let labels: Vec<(String, &str)> = (0..20)
        .map(|i| {
            let (word, label) = [("fine", "positive"), ("bad", "negative")][i % 2];
            (format!("the {i}th thing was {word}"), label)
        })
        .collect();
    let labels: Vec<_> = labels
        .iter()
        .map(|(text, label)| (&**text, *label))
        .collect();
    let project = Project::openai_labels(&labels);
    let show = ["terms", "show", "openai-api-2026-01-01", "--json"];
    let record = project.limbeck().args(show).run().succeeds().json();
    let declaration = format!(
        "# Whether it competes is for counsel to say.\n[[declaration]]   # one\nterms = \"openai-api-2026-01-01\"\nsays    = [ \"not-competing\" ]   # and no more\nreviewer = 'R. Viewer'\nreason = \"it sorts our own mail\"\nexpires = \"9999-01-01\"\nterms_sha256 = {} # of the day\n\n# What is asked.\n[harvest]\n",
        record["terms_sha256"]
    );
    project.edit("[harvest]\n", &declaration);
    project
}

fn recipe(project: &Project) -> String {
    fs::read_to_string(project.path().join("recipe.toml")).unwrap()
}

/// What `terms check` denies, if it is run in this way.
fn denied(check: Limbeck) -> Vec<String> {
    let checked = check.run();
    let value: Value = serde_json::from_str(&checked.stdout).unwrap();
    let findings = value["findings"].as_array().unwrap().iter();
    let denied = findings.filter(|finding| finding["level"] == "deny");
    denied
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

fn check(project: &Project) -> Limbeck {
    let limbeck = project.limbeck();
    limbeck.args(["terms", "check", "recipe.toml", "--json"])
}

/// The same by somebody who has not the keys of this machine.
fn elsewhere(project: &Project) -> Limbeck {
    check(project).env("LIMBECK_CONFIG_DIR", project.path().join("elsewhere"))
}

const MISSING: &str = "terms::declaration-missing";

#[test]
fn a_recipe_is_signed_in_place_and_stays_as_it_is_otherwise() {
    let project = declared();
    assert_eq!(
        denied(check(&project)),
        ["terms::declaration-unsigned", MISSING]
    );
    let sign = || project.limbeck().args(["sign", "recipe.toml"]).run();
    sign().fails_saying([
        "there is no key of a reviewer to sign with",
        "hint: `limbeck keys new --reviewer NAME`",
    ]);

    let before = recipe(&project);
    let public = project.reviewer();
    let print = project.limbeck().args(["sign", "recipe.toml", "--print"]);
    let printed = print.run().succeeds().stdout;
    assert_eq!(recipe(&project), before);
    let line = printed.lines().nth(1).unwrap();
    assert!(
        line.starts_with("signature = { by = \"R._Viewer+"),
        "{printed}"
    );
    assert!(printed.starts_with("# the declaration about `openai-api-2026-01-01`, not-competing until 9999-01-01: it sorts our own mail (R. Viewer)\n"), "{printed}");

    sign().succeeds().says(["signed with `R._Viewer+"]);
    let after = recipe(&project);
    let (at, added) = after
        .lines()
        .enumerate()
        .find(|(_, line)| line.starts_with("signature = "))
        .unwrap();
    assert!(added.contains(&public), "{added}");
    assert_eq!(added, line, "the line that was printed");
    let mut without: Vec<&str> = after.lines().collect();
    without.remove(at);
    assert_eq!(without, before.lines().collect::<Vec<_>>());
    assert!(without[at - 1].starts_with("terms_sha256"), "{after}");
    assert_eq!(denied(check(&project)), [""; 0]);

    sign().succeeds().says(["signed before: the declaration"]);
    assert_eq!(recipe(&project), after);
    // In a list of inline tables, and with the line endings of another system, as well.
    let inline = before.replace("\n\n# What is asked.\n", "\n\n");
    let inline = inline
        + "\n[audit]\nrule = [{ code = \"privacy::secret-by-prefix\", level = \"warn\", reason = \"looked at\" }]\n";
    project.file("recipe.toml", &inline.replace('\n', "\r\n"));
    project.sign();
    let signed = recipe(&project);
    assert_eq!(signed.matches("signature = { by").count(), 2, "{signed}");
    assert_eq!(signed.matches('\n').count(), signed.matches("\r\n").count());
}

#[test]
fn whose_signatures_count_is_said_outside_of_the_recipe() {
    let project = declared();
    project.sign();
    let unknown = ["terms::declaration-signer-unknown", MISSING];
    assert_eq!(denied(elsewhere(&project)), unknown);
    let key = project.reviewer();
    let none = [""; 0];
    assert_eq!(
        denied(elsewhere(&project).args(["--reviewer-key", &key])),
        none
    );
    let variable = "LIMBECK_TRUSTED_REVIEWERS";
    assert_eq!(denied(elsewhere(&project).env(variable, &key)), none);
    assert_eq!(denied(elsewhere(&project)), unknown);
    let trust = || {
        let trust = project.limbeck().args(["keys", "trust", &key]);
        trust.env("LIMBECK_CONFIG_DIR", project.path().join("elsewhere"))
    };
    trust().run().succeeds().says(["counts from now on"]);
    trust()
        .run()
        .succeeds()
        .says(["all of them counted before"]);
    assert_eq!(denied(elsewhere(&project)), none);

    // A key that cannot be read is an error, wherever it stands.
    let wrong = key.replace("R._Viewer", "S._Viewer");
    elsewhere(&project)
        .env(variable, format!("{key} {wrong}"))
        .run()
        .fails_saying(["`LIMBECK_TRUSTED_REVIEWERS` cannot be used"]);
    let audit = project.limbeck().args(["audit", "terms", "recipe.toml"]);
    let audit = audit.args(["--reviewer-key", &wrong]);
    audit
        .run()
        .exits(64)
        .says(["is no public key of a reviewer"]);
    let trusted = project.path().join("elsewhere/trusted-reviewers");
    let text = fs::read_to_string(&trusted).unwrap();
    fs::write(&trusted, format!("# Those who may.\n\n{text}")).unwrap();
    assert_eq!(denied(elsewhere(&project)), none);
    fs::write(&trusted, "anybody\n").unwrap();
    elsewhere(&project).run().fails_saying([
        "trusted-reviewers` cannot be used",
        "`anybody` is no public key",
    ]);
}

#[test]
fn a_person_signs_in_their_own_name_alone() {
    let project = declared();
    let other = |command: Limbeck| command.env("LIMBECK_CONFIG_DIR", project.path().join("other"));
    let new = project
        .limbeck()
        .args(["keys", "new", "--reviewer", "Some Body"]);
    let key = other(new).run().succeeds().stdout;
    assert!(key.starts_with("Some_Body+"), "{key}");
    let sign = project.limbeck().args(["sign", "recipe.toml"]);
    other(sign).run().exits(1).says([
        "not signed: the declaration",
        "`R. Viewer` answers for it, and the key is that of `Some_Body`",
    ]);
    // Nor does a signature move to another name, though both are trusted here.
    project.reviewer();
    project
        .limbeck()
        .args(["keys", "trust", key.trim()])
        .run()
        .succeeds();
    project.edit("'R. Viewer'", "'Some Body'");
    let sign = project.limbeck().args(["sign", "recipe.toml"]);
    other(sign).run().succeeds();
    assert_eq!(denied(check(&project)), [""; 0]);
    project.edit("'Some Body'", "'R. Viewer'");
    assert_eq!(
        denied(check(&project)),
        ["terms::declaration-changed", MISSING]
    );

    for name in ["", "A+B"] {
        let new = project.limbeck().args(["keys", "new", "--reviewer", name]);
        let new = new.env("LIMBECK_CONFIG_DIR", project.path().join("third"));
        new.run().fails_saying(["cannot name a key"]);
    }
    let again = project
        .limbeck()
        .args(["keys", "new", "--reviewer", "R. Viewer"]);
    again
        .run()
        .fails_saying(["there is a reviewer's key already, `R._Viewer+"]);
}

#[test]
fn what_was_signed_for_one_recipe_and_intent_holds_for_no_other() {
    let project = declared();
    project.edit("[\"train\", \"release-model\"]", "[\"train\"]");
    project.sign();
    assert_eq!(denied(check(&project)), [""; 0]);
    let changed = ["terms::declaration-changed", MISSING];
    for (from, to) in [
        ("use = [\"train\"]", "use = [\"train\", \"release-model\"]"),
        (
            "name = \"tiny\"\n\n[intent]",
            "name = \"other\"\n\n[intent]",
        ),
        ("[intent]\n", "[intent]\ncommercial = true\n"),
        (
            "[ \"not-competing\" ]",
            "[ \"not-competing\", \"reviewed\" ]",
        ),
        ("it sorts our own mail", "it sorts mail"),
    ] {
        let before = recipe(&project);
        project.edit(from, to);
        assert_eq!(denied(check(&project)), changed, "{to}");
        project.file("recipe.toml", &before);
    }
    // Said with no more than was signed, it is the same.
    project.edit("use = [\"train\"]", "use = []");
    assert_eq!(denied(check(&project)), [""; 0]);
    project.edit("use = []", "use = [\"train\"]");

    project.stage("harvest").run().succeeds();
    let audit = |intent: &str| {
        let audit = project.limbeck().args(["audit", "terms", "work"]);
        audit.args(["--format", "json", "--intent", intent]).run()
    };
    audit("train").succeeds();
    let beyond = audit("release-data").exits(1).json();
    assert_eq!(beyond["findings"][0]["code"], changed[0]);
}

#[test]
fn a_clarification_is_about_one_model() {
    let project = Project::choices(2);
    let text = "MIT, says the one who made it.\n";
    project.file("tiny-license.txt", text);
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    let clarification = format!(
        "[[clarification]]\nof = \"tiny\"\nlicense = \"MIT\"\ntext = \"tiny-license.txt\"\nsha256 = \"{digest}\"\n\n[harvest]\n"
    );
    project.edit("[harvest]\n", &clarification);
    project.sign();
    assert_eq!(denied(check(&project)), [""; 0]);
    let other = project.path().join("other.gguf");
    fs::copy(crate::support::teacher::tiny_teacher(), &other).unwrap();
    project.teacher(&other);
    assert_eq!(denied(check(&project)), ["licences::clarification-changed"]);
}

#[test]
fn what_cannot_be_answered_for_is_not_signed_and_what_is_no_signature_is_a_mistake() {
    let project = declared();
    project.reviewer();
    let sign = || project.limbeck().args(["sign", "recipe.toml"]).run();
    for (from, to, why) in [
        ("9999-01-01", "2020-01-01", "it ended on 2020-01-01"),
        ("it sorts our own mail", " ", "`reason` is empty"),
        (
            "'R. Viewer'",
            "''",
            "`reviewer` names nobody who answers for it",
        ),
        (
            "terms_sha256 = \"",
            "terms_sha256 = \"0000",
            "not a SHA-256",
        ),
        (
            "openai-api-2026-01-01",
            "openai-api",
            "there is no record of terms `openai-api`",
        ),
    ] {
        let before = recipe(&project);
        project.edit(from, to);
        let code = if why == "not a SHA-256" { 2 } else { 1 };
        let changed = recipe(&project);
        sign().exits(code).says([why]);
        assert_eq!(recipe(&project), changed);
        project.file("recipe.toml", &before);
    }
    project.sign();
    project.edit("ed25519 = \"", "ed25519 = \"AA");
    let audit = project
        .limbeck()
        .args(["audit", "recipe.toml", "--workdir", "work"]);
    let said = [
        "this is no signature: `ed25519` is no signature",
        "recipe.toml:",
    ];
    audit.run().exits(64).says(said);
    sign().fails_saying(said);
    let nothing = Project::choices(1);
    nothing.reviewer();
    let sign = nothing.limbeck().args(["sign", "recipe.toml"]);
    sign.run()
        .succeeds()
        .says(["nothing in `recipe.toml` wants a signature"]);
}

#[test]
fn a_key_in_the_environment_signs_and_counts() {
    let project = declared();
    project.reviewer();
    let file = project.path().join("config/reviewer.key");
    let secret = fs::read_to_string(&file).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    fs::remove_file(&file).unwrap();
    let with_it = |command: Limbeck| command.env("LIMBECK_REVIEWER_KEY", secret.trim());
    with_it(project.limbeck().args(["sign", "recipe.toml"]))
        .run()
        .succeeds();
    assert_eq!(denied(with_it(check(&project))), [""; 0]);
    assert_eq!(
        denied(check(&project)),
        ["terms::declaration-signer-unknown", MISSING]
    );
    let wrong = project.limbeck().args(["sign", "recipe.toml"]);
    let wrong = wrong.env("LIMBECK_REVIEWER_KEY", "secret").run();
    let wrong = wrong.fails_saying(["`LIMBECK_REVIEWER_KEY` holds no key"]);
    assert!(!wrong.stderr.contains("`secret`"), "{}", wrong.stderr);
}

fn verify(project: &Project, keys: &[&str]) -> Finished {
    let mut verify = project.limbeck().args(["verify", "work/export"]);
    for key in keys {
        verify = verify.args(["--reviewer-key", key]);
    }
    verify.run()
}

#[test]
fn who_has_only_the_folder_can_check_what_persons_signed() {
    let project = declared();
    project.sign();
    project.stage("run").arg("--no-gates").run().succeeds();
    let card = fs::read_to_string(project.work("export/README.md")).unwrap();
    assert!(
        card.contains("it sorts our own mail (R. Viewer; signed with the key R."),
        "{card}"
    );
    let envelope = fs::read_to_string(project.work("export/verdict.intoto.json")).unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    let payload = base64::prelude::BASE64_STANDARD.decode(payload).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    let declaration = &statement["predicate"]["declarations"][0];
    let key = project.reviewer();
    assert_eq!(declaration["signature"]["by"], key.as_str());
    assert_eq!(
        declaration["signed_for"],
        json!({
            "recipe": "tiny",
            "use": ["train", "release-model"],
            "student_license": "apache-2.0",
            "commercial": null,
        })
    );
    let what = format!("the declaration about `openai-api-2026-01-01` by `{REVIEWER}`");
    let open = format!("open        {what} is as it was signed with `R._Viewer+");
    verify(&project, &[]).succeeds().prints([&open]);
    let right = format!("right       {what} is signed with a key that you trust");
    verify(&project, &[&key]).succeeds().prints([&right]);
    let new = project
        .limbeck()
        .args(["keys", "new", "--reviewer", REVIEWER]);
    let new = new.env("LIMBECK_CONFIG_DIR", project.path().join("other"));
    let other = new.run().succeeds().stdout;
    let wrong = format!("wrong       `verdict.intoto.json`: {what} is signed with `R._Viewer+");
    verify(&project, &[other.trim()]).exits(1).prints([&wrong]);
    verify(&project, &["anybody"]).fails_saying(["`anybody` is no public key of a reviewer"]);
}

/// A run that goes by a word of each kind: a clarification, a record of terms, an exception and a waiver.
fn by_every_kind_of_word() -> Project {
    let project = Project::choices(12);
    let prompts = fs::read_to_string(project.path().join("prompts.jsonl")).unwrap();
    let secret = json!({"text": "my key is AKIAIOSFODNN7EXAMPLE"});
    project.file("prompts.jsonl", &format!("{prompts}{secret}\n"));
    let text = "MIT, says the one who made it.\n";
    fs::create_dir(project.path().join("texts")).unwrap();
    project.file("texts/tiny-license.txt", text);
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    let words = format!(
        r#"[[clarification]]
of = "tiny"
license = "MIT"
text = "texts/tiny-license.txt"
sha256 = "{digest}"

[[terms]]
kind = "route"
id = "acme-api"
title = "Acme"
providers = ["acme"]
plan = "api"
class = "any"
effective = "2026-01-01"
basis = "secondary"
summary = "Acme lets models learn."

[[audit.rule]]
code = "privacy::secret-by-prefix"
level = "warn"
reason = "the example of a handbook"

[[waiver]]
code = "licences::student-license-unknown"
reviewer = "R. Viewer"
reason = "counsel writes the licence"
expires = "9999-01-01"

[harvest]
"#
    );
    project.edit(
        "student_license = \"apache-2.0\"",
        "student_license = \"acme-1.0\"",
    );
    project.edit("[harvest]\n", &words).sign();
    project
}

/// The predicate of the verdict that an export carries.
fn verdict(project: &Project) -> Value {
    let envelope = fs::read_to_string(project.work("export/verdict.intoto.json")).unwrap();
    let envelope: Value = serde_json::from_str(&envelope).unwrap();
    let payload = envelope["payload"].as_str().unwrap();
    let payload = base64::prelude::BASE64_STANDARD.decode(payload).unwrap();
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    statement["predicate"].clone()
}

#[test]
fn every_kind_of_word_goes_with_the_export_and_is_checked_without_the_recipe() {
    let project = by_every_kind_of_word();
    project.stage("run").arg("--no-gates").run().succeeds();
    let verdict = verdict(&project);
    let clarification = &verdict["clarifications"][0];
    assert_eq!(clarification["text"], "tiny-license.txt");
    assert_eq!(clarification["signed_for"]["model"], "tiny-teacher.gguf");
    assert_eq!(verdict["records"][0]["id"], "acme-api");
    let folder = project.path().display().to_string();
    assert!(!verdict.to_string().contains(&folder), "{verdict:#}");

    // Another machine, which has the folder and nothing else.
    let elsewhere = tempfile::tempdir().unwrap();
    let export = fs::canonicalize(project.work("export")).unwrap();
    fs::rename(export, elsewhere.path().join("model")).unwrap();
    let verify = |keys: &[&str]| {
        let mut verify = Limbeck::new(elsewhere.path()).args(["verify", "model"]);
        for key in keys {
            verify = verify.args(["--reviewer-key", key]);
        }
        verify.run()
    };
    let what = [
        "the clarification that `tiny` is under `MIT`",
        "the record of terms `acme-api`",
        "the exception for `privacy::secret-by-prefix`",
        "the waiver of `licences::student-license-unknown` by `R. Viewer`",
    ];
    let new = project
        .limbeck()
        .args(["keys", "new", "--reviewer", REVIEWER]);
    let new = new.env("LIMBECK_CONFIG_DIR", project.path().join("other"));
    let (key, other) = (project.reviewer(), new.run().succeeds().stdout);
    let (unasked, trusted) = (verify(&[]).succeeds(), verify(&[&key]).succeeds());
    let untrusted = verify(&[other.trim()]).exits(1);
    for what in what {
        let open = format!("open        {what} is as it was signed with `R._Viewer+");
        assert!(unasked.stdout.contains(&open), "{}", unasked.stdout);
        let right = format!("right       {what} is signed with a key that you trust");
        assert!(trusted.stdout.contains(&right), "{}", trusted.stdout);
        let wrong = format!("wrong       `verdict.intoto.json`: {what} is signed with `R._Viewer+");
        assert!(untrusted.stdout.contains(&wrong), "{}", untrusted.stdout);
    }
}
