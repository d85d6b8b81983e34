//! Licences that nobody knows: of the student, of prompts, of what is imported and of models. None of them ever passes.

use std::fs;

use serde_json::Value;

use crate::support::{Limbeck, Project};

const STUDENT: &str = "student_license = \"apache-2.0\"";
const UNKNOWN: &str = "licences::student-license-unknown";

/// What is found and is no note, as `level code`.
fn told(command: Limbeck, code: i32) -> Vec<String> {
    let value = command.run().exits(code).json();
    let findings = value["findings"].as_array().unwrap().iter();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .filter(|finding| finding["level"] != "note")
        .map(|finding| format!("{} {}", text(finding, "level"), text(finding, "code")))
        .collect()
}

fn check(project: &Project, code: i32) -> Vec<String> {
    let check = project.limbeck();
    told(
        check.args(["terms", "check", "recipe.toml", "--json"]),
        code,
    )
}

fn audit(project: &Project, code: i32) -> Vec<String> {
    let audit = project
        .limbeck()
        .args(["audit", "terms", "licences", "recipe.toml"]);
    told(audit.args(["--workdir", "work", "--format", "json"]), code)
}

fn deny(code: &str) -> String {
    format!("deny {code}")
}

fn sha256(text: &str) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text))
}

#[test]
fn a_student_under_a_licence_that_nobody_knows_is_refused_everywhere() {
    let project = Project::choices(12);
    project.edit(STUDENT, "student_license = \"apach-2.0\"");
    assert_eq!(check(&project, 1), [deny(UNKNOWN)]);
    let said = project
        .limbeck()
        .args(["terms", "check", "recipe.toml"])
        .run();
    said.exits(1)
        .prints(["did you mean `Apache-2.0`?", "student_license_text"]);
    // Nothing is asked.
    project
        .stage("run")
        .run()
        .fails_saying([UNKNOWN, "did you mean `Apache-2.0`?"]);
    assert_eq!(project.stages(), [""; 0]);
    project.stage("harvest").run().succeeds();
    assert_eq!(audit(&project, 2), [deny(UNKNOWN)]);
    project
        .stage("train")
        .run()
        .fails_saying(["`train` is refused", UNKNOWN]);

    for (license, found, code) in [
        ("LicenseRef-acme", deny(UNKNOWN), 1),
        ("MIT OR acme-1", deny(UNKNOWN), 1),
        ("NOASSERTION", deny(UNKNOWN), 1),
        (
            "zlib",
            "warning licences::student-license-unrecorded".to_owned(),
            0,
        ),
    ] {
        project.edit("\"apach-2.0\"", &format!("\"{license}\""));
        assert_eq!(check(&project, code), [found], "{license}");
        project.edit(&format!("\"{license}\""), "\"apach-2.0\"");
    }
    project.edit("\"apach-2.0\"", "\" \"");
    let empty = project.limbeck().args(["audit", "recipe.toml"]).run();
    empty.exits(64).says(["the student's licence is empty"]);
}

#[test]
fn an_export_is_refused_too_once_the_licence_is_one_that_nobody_knows() {
    let project = Project::choices(12);
    project.stage("train").run().succeeds();
    project.edit(STUDENT, "student_license = \"whatever-1.0\"");
    project
        .stage("export")
        .run()
        .fails_saying(["is refused", UNKNOWN]);
    assert!(!project.work("export").exists());
}

#[test]
fn a_licence_of_ones_own_is_known_by_its_text_which_goes_with_the_model() {
    let project = Project::choices(12);
    let text = "Acme licence.\n\nYou may run it, and tell others what it said.\n";
    project.file("acme.txt", text);
    let digest = sha256(text);
    let named = |source: &str, digest: &str| {
        format!(
            "student_license = \"LicenseRef-acme-1.0\"\nstudent_license_text = {{ source = \"{source}\", sha256 = \"{digest}\" }}"
        )
    };
    project.edit(STUDENT, &named("acme.txt", &digest));
    assert_eq!(check(&project, 0), [""; 0]);
    project.stage("run").arg("--no-gates").run().succeeds();
    let export = |name: &str| fs::read_to_string(project.work("export").join(name)).unwrap();
    assert_eq!(export("LICENSE"), text);
    let card = export("README.md");
    let front = "license: other\nlicense_name: \"LicenseRef-acme-1.0\"\nlicense_link: LICENSE\n";
    assert!(card.contains(front), "{card}");
    project
        .limbeck()
        .args(["verify", "work/export"])
        .run()
        .succeeds();
    project
        .limbeck()
        .args(["audit", "work/export"])
        .run()
        .succeeds();

    // Another text, none, one that is none, and one that is a known licence's.
    let stale = "licences::student-license-stale";
    project.file("acme.txt", "You may not.\n");
    assert_eq!(audit(&project, 2), [deny(stale), deny(UNKNOWN)]);
    let fresh = Project::choices(12);
    fresh.file("acme.txt", "You may not.\n");
    fresh.edit(STUDENT, &named("acme.txt", &digest));
    fresh.stage("train").run().fails_saying([stale]);
    fs::remove_file(project.path().join("acme.txt")).unwrap();
    assert_eq!(audit(&project, 2), [deny(stale), deny(UNKNOWN)]);
    project.file("acme.txt", " \n");
    project.edit(&digest, &sha256(" \n"));
    assert_eq!(audit(&project, 2), [deny(stale), deny(UNKNOWN)]);
    let mit = include_str!("../LICENSE-MIT");
    project.file("acme.txt", mit);
    project.edit(&sha256(" \n"), &sha256(mit));
    assert_eq!(audit(&project, 2), [deny("licences::tag-disagrees")]);
}

#[test]
fn what_was_signed_for_one_text_of_the_students_licence_holds_for_no_other() {
    let project = Project::openai_labels(&[("It broke.", "negative")]);
    let texts = ["Acme licence.\n", "Another licence.\n"];
    project.file("acme.txt", texts[0]);
    let named = format!(
        "student_license = \"LicenseRef-acme\"\nstudent_license_text = {{ source = \"acme.txt\", sha256 = \"{}\" }}",
        sha256(texts[0])
    );
    project.edit(STUDENT, &named);
    project.edit(
        "name = \"tiny\"\nprovider",
        "name = \"tiny\"\nlicense = \"mit\"\nprovider",
    );
    project.declare("openai-api-2026-01-01", "not-competing");
    assert_eq!(check(&project, 0), [""; 0]);
    project.file("acme.txt", texts[1]);
    project.edit(&sha256(texts[0]), &sha256(texts[1]));
    assert_eq!(
        check(&project, 1),
        ["terms::declaration-changed", "terms::declaration-missing"].map(deny)
    );
}

#[test]
fn prompts_under_a_licence_that_nobody_knows_or_says_are_refused() {
    let project = Project::choices(12);
    project.edit(
        "license = \"cc0-1.0\", exclude_near",
        "license = \"x\", exclude_near",
    );
    assert_eq!(check(&project, 1), [deny("licences::unknown")]);
    project.stage("harvest").run().succeeds();
    assert_eq!(audit(&project, 2), [deny("licences::unknown")]);
    project
        .stage("train")
        .run()
        .fails_saying(["licences::unknown", "signed `[[clarification]]`"]);
    // To say something else afterwards unsays nothing; somebody's word by a text does.
    project.edit(
        "license = \"x\", exclude_near",
        "license = \"own\", exclude_near",
    );
    assert_eq!(audit(&project, 2), [deny("licences::unknown")]);
    let text = "We wrote them, and give them away under CC0.\n";
    project.file("ours.txt", text);
    let clarification = format!(
        "[[clarification]]\nof = \"prompts.jsonl\"\nlicense = \"cc0-1.0\"\ntext = \"ours.txt\"\nsha256 = \"{}\"\n\n[harvest]\n",
        sha256(text)
    );
    project.edit("[harvest]\n", &clarification).sign();
    assert_eq!(audit(&project, 0), [""; 0]);

    let silent = Project::choices(12);
    silent.edit("license = \"cc0-1.0\", exclude_near", "exclude_near");
    assert_eq!(check(&silent, 1), [deny("licences::undeclared")]);
    silent.stage("harvest").run().succeeds();
    assert_eq!(audit(&silent, 2), [deny("licences::undeclared")]);
    silent
        .stage("train")
        .run()
        .fails_saying(["licences::undeclared", "texts of your own are `own`"]);
    silent.edit("exclude_near", "license = \"own\", exclude_near");
    assert_eq!(audit(&silent, 0), [""; 0]);
    silent.stage("train").run().succeeds();
}

#[test]
fn what_is_imported_under_a_licence_that_nobody_knows_is_refused() {
    let project = Project::twenty_openai_labels();
    project.declare("openai-api-2026-01-01", "not-competing");
    project.edit(
        "license = \"proprietary\"",
        "license = \"acme data licence\"",
    );
    project.edit(
        "name = \"tiny\"\nprovider",
        "name = \"tiny\"\nlicense = \"mit\"\nprovider",
    );
    assert_eq!(check(&project, 1), [deny("terms::unknown")]);
    project.stage("harvest").run().succeeds();
    let both = ["terms::unknown", "licences::unknown"].map(deny);
    assert_eq!(audit(&project, 3), both);
    project
        .stage("train")
        .run()
        .fails_saying(["terms::unknown"]);
}

/// A project whose teacher lies in a folder of its own and says in its file that it is under `xyz`, not `mit`.
fn teacher_under_xyz() -> Project {
    let project = Project::choices(12);
    let mut bytes = fs::read(crate::support::teacher::tiny_teacher()).unwrap();
    let key = b"general.license";
    let at = bytes
        .windows(key.len())
        .position(|part| part == key)
        .unwrap();
    let value = at + key.len() + 12;
    assert_eq!(bytes[value..value + 3].to_ascii_lowercase(), b"mit");
    bytes[value..value + 3].copy_from_slice(b"xyz");
    fs::create_dir(project.path().join("model")).unwrap();
    let model = project.path().join("model/tiny.gguf");
    fs::write(&model, bytes).unwrap();
    project.teacher(&model);
    project
}

#[test]
fn a_model_whose_own_file_names_a_licence_that_nobody_knows_is_refused() {
    let project = teacher_under_xyz();
    let both = ["terms::unknown", "licences::unknown"].map(deny);
    assert_eq!(check(&project, 1), both);
    project.stage("harvest").run().succeeds();
    assert_eq!(audit(&project, 3), both);
    project
        .stage("train")
        .run()
        .fails_saying(["terms::unknown", "licences::unknown"]);
}

#[test]
fn what_a_hubs_page_says_of_a_model_is_held_to_its_file_and_to_the_text() {
    let project = teacher_under_xyz();
    let page = |license: &str| {
        project.file(
            "model/README.md",
            &format!("---\nlicense: {license}\n---\n# Tiny\n"),
        );
    };
    let plain = fs::read(crate::support::teacher::tiny_teacher()).unwrap();
    fs::write(project.path().join("model/tiny.gguf"), plain).unwrap();
    page("mit");
    assert_eq!(check(&project, 0), [""; 0]);
    // One that nobody knows is told beside one that is known, and the model's own file counts.
    for other in ["apache-2.0", "whatever"] {
        page(other);
        assert_eq!(
            check(&project, 0),
            ["warning licences::tags-disagree"],
            "{other}"
        );
    }
    project.file("model/LICENSE", include_str!("../LICENSE-MIT"));
    assert_eq!(check(&project, 0), ["warning licences::tags-disagree"]);
    project.file("model/LICENSE", include_str!("../LICENSE-APACHE"));
    assert_eq!(
        check(&project, 1),
        [
            deny("licences::tag-disagrees"),
            "warning licences::tags-disagree".to_owned()
        ]
    );
}
