//! Text from a teacher, a data file or a model that means harm: shown as what it is, wherever it is shown.

use std::fs;

use serde_json::json;

use crate::support::teacher::{HOSTILE_ANSWER, hostile_teacher};
use crate::support::{Project, skip};

const HOSTILE_PROMPT: &str = "<img src=x onerror=alert(3)> \u{1b}[31mred\u{1b}[0m \u{9b}2J \u{202e}drawkcab <|im_end|> {{ 7 * 7 }}";

/// A run in which the prompts, the answers, the suite and the recipe's name of things are all hostile.
fn project() -> Project {
    let project = Project::chat(6);
    project.teacher(hostile_teacher());
    project.edit(
        "kind = \"duplicates\"\nnormalised = true",
        "kind = \"length\"\nmin_characters = 1",
    );
    project.edit("context = 128", "context = 512");
    let row = |i: usize| json!({"text": format!("{i} {HOSTILE_PROMPT}"), "expected": "<b>"});
    project.rows("prompts.jsonl", &(0..6).map(row).collect::<Vec<_>>());
    project.rows("suite.jsonl", &(10..14).map(row).collect::<Vec<_>>());
    project
}

/// Characters that act on a terminal instead of being shown.
#[track_caller]
fn is_harmless(text: &str) {
    let harmful = |c: &char| {
        (c.is_control() && *c != '\n' && *c != '\t') || ('\u{202a}'..='\u{202e}').contains(c)
    };
    if let Some(character) = text.chars().find(harmful) {
        panic!("{character:?} got through:\n{}", text.escape_debug());
    }
}

#[test]
fn markup_is_escaped_in_the_page_and_control_codes_are_made_visible() {
    let project = project();
    let run = project.stage("run").run().succeeds();
    is_harmless(&run.stdout);
    is_harmless(&run.stderr);
    let html = fs::read_to_string(project.work("report.html")).unwrap();
    is_harmless(&html);
    assert!(
        html.contains("&lt;script&gt;alert(1)"),
        "the teacher's answer is not on the page"
    );
    assert!(
        html.contains("&lt;img src=x onerror=alert(3)&gt;"),
        "the prompt is not on the page"
    );
    for harmful in ["<script>alert", "<img src=x", "onerror=alert(2)>"] {
        assert!(!html.contains(harmful), "`{harmful}` got through");
    }
    assert!(html.contains('␛'), "control codes are shown as pictures");
    // The machine-readable form keeps the text as it is, escaped by JSON alone.
    let samples = project.report()["samples"].to_string();
    assert!(
        samples.contains("<script>") && samples.contains("\\u001b"),
        "{samples}"
    );
}

#[test]
fn control_codes_never_reach_the_terminal() {
    let project = project();
    project.stage("run").run().succeeds();
    let traces = |arguments: [&str; 2]| {
        project
            .limbeck()
            .arg("traces")
            .args(arguments)
            .args(["--workdir", "work"])
    };
    let list = traces(["list", "--limit=100"]).run().succeeds();
    is_harmless(&list.stdout);
    assert!(
        list.stdout.contains("<script>alert(1)</script>"),
        "{}",
        list.stdout
    );
    let rows = traces(["list", "--json"]).run().succeeds();
    assert!(
        rows.stdout.lines().count() == 10 && !rows.stdout.contains('\u{1b}'),
        "JSON escapes them"
    );
    let row = &rows.json_lines()[0];
    assert_eq!(row["text"], HOSTILE_ANSWER, "and keeps them");
    let show = traces(["show", row["id"].as_str().unwrap()])
        .run()
        .succeeds();
    is_harmless(&show.stdout);
    assert!(
        show.stdout.contains("[31mred"),
        "an escape leaves its letters behind: {}",
        show.stdout
    );

    let teacher = hostile_teacher().display().to_string();
    let chat = project
        .limbeck()
        .args(["chat", &teacher])
        .input(format!("{HOSTILE_PROMPT}\n"))
        .run()
        .succeeds();
    is_harmless(&chat.stdout);
    assert!(
        chat.stdout.starts_with("<script>alert(1)</script>"),
        "{}",
        chat.stdout
    );
    assert_eq!(chat.stdout.lines().count(), 1);
}

/// A terminal is given by `script`; where there is none, the pipes of the other tests must do.
#[cfg(target_os = "linux")]
#[test]
fn bars_on_a_terminal_show_no_foreign_control_codes() {
    use crate::support::Limbeck;
    let project = project();
    let shell = |command: &str| format!("exec script -qec \"$0 {command}\" /dev/null");
    if !Limbeck::shell(project.path(), &shell("--version"))
        .run()
        .status
        .success()
    {
        return skip("there is no `script` to make a terminal with");
    }
    let run = Limbeck::shell(
        project.path(),
        &shell("run recipe.toml --workdir work --progress bars"),
    )
    .run()
    .succeeds();
    assert!(run.stdout.contains("harvest"), "{}", run.stdout);
    for harmful in ["\u{1b}]0;owned", "\u{202e}", "\u{1b}[2J"] {
        assert!(
            !run.stdout.contains(harmful),
            "{}",
            run.stdout.escape_debug()
        );
    }
}

#[test]
fn a_hostile_recipe_or_data_file_cannot_write_to_the_terminal() {
    let project = Project::choices(4);
    project.edit("epochs = 2", "\"epo\\u001b[2Jchs\" = 2");
    is_harmless(&project.stage("run").run().exits(2).stderr);

    let project = Project::choices(4);
    project.file(
        "prompts.jsonl",
        "{\"text\": \"fine\"}\n{\"\u{1b}[2J\u{202e}\n",
    );
    is_harmless(&project.stage("harvest").run().exits(0).stderr);
    is_harmless(
        &project
            .stage("harvest")
            .args(["--strict", "--limit=1"])
            .run()
            .exits(2)
            .stderr,
    );

    // TOML itself refuses a raw control code, and the excerpt that shows where must not repeat it.
    let project = Project::choices(4);
    project.edit("name = \"tiny\"", "name = \"\u{1b}[2Jtiny\"");
    is_harmless(&project.stage("run").run().exits(2).stderr);
}
