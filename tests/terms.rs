//! `limbeck terms`: what the records say of a recipe, and how a person adds to them.

use limbeck_store::terms::Declaration;
use serde_json::{Value, json};

use crate::support::Project;

/// A recipe that learns from answers of `OpenAI`'s.
fn learns_from_openai() -> Project {
    let project = Project::openai_labels(&[("It broke.", "negative")]);
    project.edit(
        "name = \"tiny\"\nprovider",
        "name = \"tiny\"\nlicense = \"mit\"\nprovider",
    );
    project
}

fn check(project: &Project, code: i32) -> Vec<(String, String)> {
    let checked = project
        .limbeck()
        .args(["terms", "check", "recipe.toml", "--json"]);
    let value = checked.run().exits(code).json();
    assert_eq!(value["permitted"], json!(code == 0));
    let findings = value["findings"].as_array().unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|finding| (text(finding, "level"), text(finding, "code")))
        .filter(|(level, _)| level != "note")
        .collect()
}

fn record(project: &Project, id: &str) -> Value {
    project
        .limbeck()
        .args(["terms", "show", id, "--json"])
        .run()
        .succeeds()
        .json()
}

fn found(level: &str, code: &str) -> (String, String) {
    (level.to_owned(), code.to_owned())
}

#[test]
fn a_recipe_of_openais_answers_is_denied_until_somebody_answers_for_it() {
    let project = learns_from_openai();
    assert_eq!(
        check(&project, 1),
        [found("deny", "terms::declaration-missing")]
    );
    let digest = record(&project, "openai-api-2026-01-01")["terms_sha256"].clone();
    let text = project
        .limbeck()
        .args(["terms", "check", "recipe.toml"])
        .run()
        .exits(1);
    assert!(
        text.stdout.contains(digest.as_str().unwrap()),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("not legal advice"), "{}", text.stdout);

    let declaration = format!(
        "[[declaration]]\nterms = \"openai-api-2026-01-01\"\nsays = [\"not-competing\"]\nreviewer = \"R. Viewer\"\nreason = \"it sorts our own mail\"\nexpires = \"9999-01-01\"\nterms_sha256 = {digest}\n\n[harvest]\n"
    );
    project.edit("[harvest]\n", &declaration);
    project.sign();
    assert_eq!(check(&project, 0), []);

    for (from, to, code) in [
        ("9999-01-01", "9998-01-01", "terms::declaration-changed"),
        ("R. Viewer", "", "terms::declaration-changed"),
    ] {
        project.edit(from, to);
        assert_eq!(
            check(&project, 1),
            [
                found("deny", code),
                found("deny", "terms::declaration-missing")
            ]
        );
        project.edit(&format!("\"{to}\""), &format!("\"{from}\""));
    }
    assert_eq!(check(&project, 0), []);
}

#[test]
fn a_declaration_that_has_ended_or_is_about_another_record_does_not_count() {
    for (expires, sha256, code) in [
        ("2020-01-01", None, "terms::declaration-expired"),
        (
            "9999-01-01",
            Some("0".repeat(64)),
            "terms::declaration-stale",
        ),
    ] {
        let project = learns_from_openai();
        let known = record(&project, "openai-api-2026-01-01")["terms_sha256"].clone();
        let sha256 = sha256.unwrap_or_else(|| known.as_str().unwrap().to_owned());
        project.add_signed::<Declaration>(
            "declaration",
            &format!("terms = \"openai-api-2026-01-01\"\nsays = [\"not-competing\"]\nreviewer = \"R. Viewer\"\nreason = \"it sorts our own mail\"\nexpires = \"{expires}\"\nterms_sha256 = \"{sha256}\"\n"),
        );
        let mut codes = [
            found("deny", code),
            found("deny", "terms::declaration-missing"),
        ];
        codes.sort();
        assert_eq!(check(&project, 1), codes);
    }
}

#[test]
fn a_model_without_a_licence_is_denied_and_one_with_the_wrong_tag_is_told() {
    let project = Project::choices(1);
    let provider = "name = \"tiny\"\nprovider";
    project.edit(
        provider,
        "name = \"tiny\"\nlicense = \"nobody-knows\"\nprovider",
    );
    assert_eq!(
        check(&project, 1),
        [
            found("deny", "terms::unknown"),
            found("deny", "licences::unknown"),
            found("warning", "licences::tags-disagree")
        ]
    );
    project.edit("nobody-knows", "gemma");
    let gemma = check(&project, 1);
    assert!(
        gemma.contains(&found("deny", "licences::flow-down")),
        "{gemma:?}"
    );
    project.edit("\"gemma\"", "\"apache-2.0\"");
    // The model's own file says MIT.
    let otherwise = || found("warning", "licences::tags-disagree");
    assert_eq!(check(&project, 0), [otherwise()]);

    // The model in a folder of its own, with a text beside it.
    let model = project.path().join("model/tiny.gguf");
    std::fs::create_dir(project.path().join("model")).unwrap();
    std::fs::copy(crate::support::teacher::tiny_teacher(), &model).unwrap();
    project.teacher(&model);
    project.file("model/LICENSE", include_str!("../LICENSE-APACHE"));
    assert_eq!(check(&project, 0), [otherwise()]);
    project.file("model/LICENSE", include_str!("../LICENSE-MIT"));
    assert_eq!(
        check(&project, 1),
        [found("deny", "licences::tag-disagrees"), otherwise()]
    );
}

#[test]
fn a_record_is_made_of_a_saved_text_and_used_by_the_recipe() {
    let project = learns_from_openai();
    project.file(
        "saved.txt",
        "Acme terms.\n\n7. You may **not** use outputs\n   to build a competing model.\n",
    );
    let add = |arguments: &[&str]| {
        let mut limbeck = project.limbeck().args([
            "terms",
            "add",
            "saved.txt",
            "--effective",
            "2026-05-04",
            "--id",
            "acme-api",
        ]);
        for argument in arguments {
            limbeck = limbeck.arg(argument);
        }
        limbeck.run()
    };
    let about = [
        "--provider",
        "acme",
        "--class",
        "noncompeting_only",
        "--summary",
        "Bars models that compete.",
    ];
    add(&about).fails_saying(["a record of a text needs a clause"]);
    let wrong = [about.as_slice(), &["--clause", "You may use outputs."]].concat();
    add(&wrong).fails_saying(["`saved.txt` does not hold the clause `you may use outputs.`"]);
    add(&["--like", "openai-api-2026-01-01"]).fails_saying([
        "`saved.txt` does not hold these clauses of `openai-api-2026-01-01` as they were: 3.3(e) (no models that compete)",
        "hint: read what it says now",
    ]);
    let right = [
        about.as_slice(),
        &[
            "--clause",
            "You may not use outputs to build a competing model.",
        ],
    ]
    .concat();
    let printed = add(&right).succeeds().stdout;

    project.edit("provider = \"openai\"", "provider = \"acme\"");
    assert_eq!(check(&project, 1), [found("deny", "terms::unknown")]);
    let recipe = std::fs::read_to_string(project.path().join("recipe.toml")).unwrap();
    project.file("recipe.toml", &format!("{recipe}\n{printed}"));
    // What nobody has signed is no record.
    assert_eq!(
        check(&project, 1),
        [
            found("deny", "terms::record-unsigned"),
            found("deny", "licences::record-unsigned"),
            found("deny", "terms::unknown"),
        ]
    );
    project.sign();
    assert_eq!(
        check(&project, 1),
        [found("deny", "terms::declaration-missing")]
    );
    project.edit("class = \"noncompeting_only\"", "class = \"any\"");
    let changed = check(&project, 1);
    assert!(
        changed.contains(&found("deny", "terms::record-changed")),
        "{changed:?}"
    );
    let listed = project
        .limbeck()
        .args(["terms", "list", "--recipe", "recipe.toml", "--json"]);
    let listed = listed.run().succeeds().json_lines();
    assert!(listed.iter().any(|record| record["id"] == "acme-api"));

    // A second record for the same day is a mistake of the recipe.
    let again = printed.replace("id = \"acme-api\"", "id = \"acme-again\"");
    project.file("recipe.toml", &format!("{recipe}\n{printed}\n{again}"));
    project
        .limbeck()
        .args(["terms", "check", "recipe.toml"])
        .run()
        .fails_saying([
            "two records of terms are for the same route `acme`, plan `api`, of 2026-05-04",
        ]);
}

#[test]
fn a_record_that_is_not_there_is_said_with_the_nearest() {
    let project = Project::choices(1);
    let show = |id: &str| project.limbeck().args(["terms", "show", id]).run();
    show("openai-api-2026-01-02").fails_saying([
        "there is no record of terms `openai-api-2026-01-02`",
        "hint: did you mean `openai-api-2026-01-01`?",
    ]);
    show("gemma").fails_saying(["hint: several records have this name"]);
    show("llama3.1").succeeds().says(["not legal advice"]);
    project.file("page.html", "<html><p>You may not.</p></html>");
    let add = [
        "terms",
        "add",
        "page.html",
        "--effective",
        "2026-01-01",
        "--id",
        "x",
    ];
    project
        .limbeck()
        .args(add)
        .run()
        .fails_saying(["is HTML", "hint: save the page as plain text"]);
}

#[test]
fn a_clarification_holds_while_the_text_is_the_one_that_was_read() {
    let project = Project::choices(2);
    let clean = "name = \"tiny\"\nlicense = \"cc-by-nc-4.0\"\nprovider";
    project.edit("name = \"tiny\"\nprovider", clean);
    project.edit(
        "student_license = \"apache-2.0\"",
        "student_license = \"apache-2.0\"\ncommercial = true",
    );
    let denied = check(&project, 1);
    assert!(
        denied.contains(&found("deny", "terms::denied")),
        "{denied:?}"
    );

    let text = "MIT, says the one who made it.\n";
    project.file("tiny-license.txt", text);
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(text));
    let clarification = format!(
        "[[clarification]]\nof = \"tiny\"\nlicense = \"MIT OR Apache-2.0\"\ntext = \"tiny-license.txt\"\nsha256 = \"{digest}\"\n\n[harvest]\n"
    );
    project.edit("[harvest]\n", &clarification);
    let unsigned = check(&project, 1);
    assert!(
        unsigned.contains(&found("deny", "licences::clarification-unsigned")),
        "{unsigned:?}"
    );
    assert!(
        unsigned.contains(&found("deny", "terms::denied")),
        "{unsigned:?}"
    );
    project.sign();
    assert_eq!(check(&project, 0), []);

    project.file("tiny-license.txt", "For research only.\n");
    let stale = check(&project, 1);
    assert!(
        stale.contains(&found("deny", "licences::clarification-stale")),
        "{stale:?}"
    );
    assert!(stale.contains(&found("deny", "terms::denied")), "{stale:?}");

    project.edit("of = \"tiny\"", "of = \"tinny\"");
    project
        .limbeck()
        .args(["terms", "check", "recipe.toml"])
        .run()
        .exits(2)
        .says(["there is no teacher `tinny`", "did you mean `tiny`?"]);
}
