//! A second recipe, which learns from answers that `OpenAI` gave: what stands against it until a person declares that its
//! student does not compete, and what is owed from then on.

use std::fs;

use crate::support::{Finished, Project};

const TERMS: &str = "openai-api-2026-01-01";

fn audit(project: &Project, words: &[&str]) -> Finished {
    let mut audit = project.limbeck().arg("audit");
    for word in words {
        audit = audit.arg(word);
    }
    audit.run()
}

#[test]
fn answers_of_a_service_whose_terms_ask_for_a_declaration_are_denied_until_there_is_one() {
    let project = Project::twenty_openai_labels();
    project.stage("curate").run().succeeds();
    let recipe = ["recipe.toml", "--workdir", "work"];

    // The audit says who has to answer for what, and training does not begin.
    let denied = audit(&project, &recipe).exits(1).stdout;
    for said in [
        "terms: 1 deny",
        "deny[terms::declaration-missing]",
        "route `openai` over `import`",
        "[[declaration]] terms = \"openai-api-2026-01-01\", says = [\"not-competing\"]",
        "licences: ",
        "conduct: 1 note",
        "note[conduct::not-seen]",
    ] {
        assert!(denied.contains(said), "no `{said}` in {denied}");
    }
    project
        .stage("train")
        .run()
        .fails_saying(["`train` is refused", "terms::declaration-missing"]);

    // A declaration with another reason than the one that was signed is none.
    project.declare(TERMS, "not-competing");
    project.edit("reason = \"it sorts our own mail\"", "reason = \"\"");
    let changed = audit(&project, &recipe).exits(1).stdout;
    assert!(
        changed.contains("deny[terms::declaration-changed]"),
        "{changed}"
    );
    project.edit("reason = \"\"", "reason = \"it sorts our own mail\"");

    // With it the audit passes, and tells what is owed.
    let passes = audit(&project, &recipe).exits(0).stdout;
    for said in [
        "terms: 1 note, 1 duty",
        "Owed for train, release-model:",
        "keep-limits  stay within the rate limits of the account; getting around them is barred (`openai-api-2026-01-01`)",
    ] {
        assert!(passes.contains(said), "no `{said}` in {passes}");
    }
    project.stage("run").arg("--no-gates").run().succeeds();
    audit(&project, &["work/export"]).exits(0);
    let card = fs::read_to_string(project.work("export/README.md")).unwrap();
    for said in [
        "came to `allow_with_duties`",
        "- stay within the rate limits of the account",
        "- not-competing about `openai-api-2026-01-01`, until 9999-01-01: it sorts our own mail (R. Viewer; signed with the key ",
    ] {
        assert!(card.contains(said), "no `{said}` in\n{card}");
    }

    // Its day was signed as well.
    project.edit("9999-01-01", "9999-01-02");
    let longer = audit(&project, &recipe).exits(1).stdout;
    assert!(
        longer.contains("deny[terms::declaration-changed]"),
        "{longer}"
    );
}
