//! Recipes and data files that cannot be used: exit code 2, and a message that names the place.

use std::fs;

use serde_json::json;

use crate::support::{Limbeck, Project, names};

/// Checks that nothing of a run was left that a later run could mistake for something.
fn nothing_was_done(project: &Project) {
    for stage in project.stages() {
        assert!(
            !project
                .work("stages")
                .join(&stage)
                .join("outcome.json")
                .exists(),
            "{stage} was finished"
        );
    }
    assert!(!project.work("report.json").exists() && !project.work("student").exists());
}

#[test]
fn an_unknown_key_is_shown_with_the_one_that_was_meant() {
    let project = Project::choices(4);
    project.edit("epochs = 2", "epoch = 2");
    let failed = project.stage("run").run().fails_saying([
        "unknown key `epoch`",
        "--> recipe.toml:35:1",
        "35 | epoch = 2",
        "   | ^^^^^",
        "did you mean `epochs`?",
    ]);
    assert!(failed.stdout.is_empty());
    assert!(
        !project.work("").exists(),
        "a work folder was made for nothing"
    );
}

#[test]
fn a_recipe_that_is_missing_or_a_folder_or_no_text_is_named() {
    let project = Project::choices(4);
    fs::create_dir(project.path().join("folder")).unwrap();
    fs::write(project.path().join("binary.toml"), [0xff, 0xfe, 0]).unwrap();
    for recipe in ["nowhere.toml", "folder", "binary.toml"] {
        let run = project.limbeck().args(["run", recipe]).run();
        run.fails_saying([&format!("cannot read the recipe `{recipe}`"), "Caused by: "]);
    }
    assert!(!project.path().join("runs").exists());
}

#[test]
fn a_missing_section_is_named_with_the_stage_that_needs_it() {
    let project = Project::choices(8);
    project.edit("[export]\nformats = [\"safetensors\", \"gguf:q8_0\"]\n", "");
    project.stage("train").run().succeeds();
    project
        .stage("run")
        .run()
        .fails_saying(["no section `[export]`, which the stage `export` needs"]);
}

#[test]
fn a_missing_prompt_file_is_named() {
    let project = Project::choices(4);
    fs::remove_file(project.path().join("prompts.jsonl")).unwrap();
    project
        .stage("run")
        .run()
        .fails_saying(["there is no file `prompts.jsonl`", "recipe.toml:15:22"]);
    nothing_was_done(&project);
}

#[test]
fn a_file_of_examples_or_instructions_that_is_missing_is_named_with_its_key() {
    for key in ["examples", "system"] {
        let project = Project::choices(4);
        project.edit("form = ", &format!("{key} = \"nowhere.txt\"\nform = "));
        project
            .stage("run")
            .run()
            .fails_saying(["nowhere.txt", &format!("| {key} = \"nowhere.txt\"")]);
    }
}

#[test]
fn a_malformed_row_is_named_and_left_out_or_with_strict_an_error() {
    let project = Project::choices(0);
    let good = json!({"text": "all is well here"});
    project.file(
        "prompts.jsonl",
        &format!(
            "{good}\n{{\"text\": \"never clo\n{}\n[1]\n",
            json!({"text": "and here too"})
        ),
    );
    project
        .stage("harvest")
        .args(["--strict"])
        .run()
        .fails_saying(["prompts.jsonl`, row 2: not valid JSON"]);
    nothing_was_done(&project);

    let run = project.stage("harvest").run().succeeds();
    run.says([
        "warning: `prompts.jsonl`, row 2: not valid JSON",
        "warning: `prompts.jsonl`, row 4: a list instead of an object; it is skipped",
    ]);
    let report = project.report();
    assert_eq!(report["harvest"]["traces"], 2, "the rest loads");
    assert!(
        report["notes"].to_string().contains("2 malformed rows"),
        "{}",
        report["notes"]
    );
}

#[test]
fn a_row_of_a_table_with_too_few_fields_is_named() {
    let project = Project::choices(0);
    project.edit("prompts.jsonl", "prompts.csv");
    project.file(
        "prompts.csv",
        "text,label\none thing,a\nlonely\nanother thing,b\n",
    );
    let run = project.stage("harvest").run().succeeds();
    run.says(["`prompts.csv`, row 2: 1 fields instead of 2"]);
    assert_eq!(project.report()["harvest"]["traces"], 2);
    let strict = Project::choices(0);
    strict.edit("prompts.jsonl", "prompts.csv");
    strict.file("prompts.csv", "text,label\none thing,a\nlonely\n");
    strict
        .stage("harvest")
        .args(["--strict"])
        .run()
        .fails_saying(["prompts.csv`, row 2: "]);
}

#[test]
fn a_column_that_a_template_needs_is_named_with_those_that_are_there() {
    let project = Project::choices(4);
    project.rows(
        "prompts.jsonl",
        &[json!({"body": "all is well here", "stars": 5})],
    );
    project.stage("run").run().fails_saying([
        "`prompts.jsonl` does not",
        "no column `text`",
        "`body`, `stars`",
    ]);
    nothing_was_done(&project);
}

#[test]
fn an_empty_file_of_prompts_is_an_error() {
    for content in ["", "\n\n", "{\"text\": \n"] {
        let project = Project::choices(0);
        project.file("prompts.jsonl", content);
        project
            .stage("run")
            .run()
            .fails_saying(["prompts.jsonl` has no usable row"]);
        nothing_was_done(&project);
    }
}

#[test]
fn prompts_that_are_all_filtered_away_are_an_error_that_says_where_to_look() {
    let project = Project::choices(6);
    project.edit(
        "license = \"cc0-1.0\", exclude",
        "license = \"own\", where = \"text == 'nothing'\", exclude",
    );
    project
        .stage("run")
        .run()
        .fails_saying(["no prompt is left to ask", "`where`"]);
    assert!(!project.work("report.json").exists());
}

#[test]
fn answers_that_are_all_dropped_are_an_error_that_says_how_to_see_why() {
    let project = Project::choices(6);
    project.edit(
        "kind = \"duplicates\"\nnormalised = true",
        "kind = \"confidence\"\nat_least = 1.0",
    );
    project
        .stage("run")
        .run()
        .fails_saying(["every answer was dropped", "limbeck traces list --dropped"]);
    let dropped = ["traces", "list", "--workdir", "work", "--dropped", "--json"];
    assert_eq!(
        project
            .limbeck()
            .args(dropped)
            .run()
            .succeeds()
            .json_lines()
            .len(),
        6,
        "the answers are kept"
    );
}

#[test]
fn a_wrong_checksum_tells_both() {
    let wrong = "0".repeat(64);
    let project = Project::choices(4);
    project.edit(
        "license = \"cc0-1.0\", exclude",
        &format!("sha256 = \"{wrong}\", exclude"),
    );
    project.stage("run").run().fails_saying([
        "`prompts.jsonl` does not have the SHA-256",
        &wrong,
        "found ",
    ]);
    nothing_was_done(&project);

    let project = Project::choices(4);
    project.edit("limits = ", &format!("sha256 = \"{wrong}\"\nlimits = "));
    project
        .stage("run")
        .run()
        .fails_saying(["tiny-teacher.gguf` does not have the SHA-256"]);
    nothing_was_done(&project);
}

#[test]
fn a_label_that_is_no_choice_is_an_error() {
    let project = Project::choices(4);
    project.rows(
        "suite.jsonl",
        &[json!({"text": "well well well", "expected": "neutral"})],
    );
    project
        .stage("run")
        .run()
        .fails_saying(["suite `labels` expects `neutral`", "\"positive\""]);
}

#[test]
fn offline_with_a_cold_cache_says_what_to_do() {
    for source in [
        "hf:someone/something/model.gguf",
        "pypi:nothing==1.0#model.gguf",
        "https://example.org/model.gguf",
    ] {
        let project = Project::choices(4);
        project.teacher(source.as_ref());
        let run = project.stage("run").args(["--offline"]).run();
        run.fails_saying([
            &format!("`{source}` is not in the cache"),
            "run once without `--offline`",
        ]);
        nothing_was_done(&project);
        assert!(
            !project.path().join("cache").exists(),
            "an offline run made a cache"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let project = Project::choices(4);
    fs::remove_file(project.path().join("prompts.jsonl")).unwrap();
    fs::create_dir(project.path().join("prompts.jsonl")).unwrap();
    project.stage("run").run().fails_saying(["prompts.jsonl`"]);
    nothing_was_done(&project);
}

/// Even the superuser may run this: the program runs as somebody who may read nothing of it.
#[cfg(unix)]
#[test]
fn a_file_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::choices(4);
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let as_other = |mut limbeck: Limbeck| {
        use std::os::unix::process::CommandExt;
        if fs::metadata("/proc/self")
            .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
        {
            limbeck.command().uid(65534);
        }
        limbeck
    };
    mode(project.path(), 0o777);
    let mut version = as_other(project.limbeck().args(["--version"]));
    if !version
        .command()
        .status()
        .is_ok_and(|status| status.success())
    {
        return crate::support::skip("the binary lies where only its owner can run it");
    }
    for file in ["prompts.jsonl", "recipe.toml"] {
        let path = project.path().join(file);
        mode(&path, 0o000);
        let run = as_other(project.stage("run")).run();
        run.fails_saying([&format!("{file}`"), "Permission denied"]);
        mode(&path, 0o644);
    }
}

#[test]
fn wrong_arguments_are_exit_code_2() {
    let project = Project::choices(4);
    let run = |arguments: &[&str]| {
        let mut limbeck = project.limbeck();
        for argument in arguments {
            limbeck = limbeck.arg(argument);
        }
        limbeck.run().exits(2)
    };
    run(&[]).says(["Usage: limbeck"]);
    run(&["harvst", "recipe.toml"]).says(["unrecognized subcommand 'harvst'", "'harvest'"]);
    run(&["run", "recipe.toml", "--limit", "0"]).says(["--limit"]);
    run(&["run", "recipe.toml", "--progress", "loud"])
        .says(["possible values: auto, bars, plain, json, none"]);
    run(&["traces", "list"]).says(["--workdir"]);
    run(&["chat", "model", "--temperature=-1"]).says(["expected a number of at least 0"]);
    assert_eq!(
        names(project.path()),
        ["prompts.jsonl", "recipe.toml", "suite.jsonl"]
    );
}
