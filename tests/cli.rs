//! What the command line itself says: help, completions, the shape of errors, colours, `--quiet`, closed pipes.
//!
//! Refresh the snapshots with `UPDATE_EXPECT=1 cargo test -p limbeck-cli --test end-to-end cli`.

use std::fs;

use expect_test::{expect, expect_file};

use crate::support::{Limbeck, Project, names};

/// Every command with its subcommands, and the program itself.
const COMMANDS: [&str; 39] = [
    "",
    "init",
    "run",
    "harvest",
    "curate",
    "train",
    "evaluate",
    "export",
    "report",
    "audit",
    "traces",
    "traces list",
    "traces show",
    "traces failures",
    "traces import",
    "traces export",
    "traces erase",
    "sign",
    "teachers",
    "teachers check",
    "teachers batches",
    "terms",
    "terms list",
    "terms show",
    "terms check",
    "terms add",
    "keys",
    "keys new",
    "keys show",
    "keys trust",
    "verify",
    "chat",
    "bench",
    "bench decode",
    "bench requests",
    "bench train",
    "bench ledger",
    "probe",
    "completions",
];

fn here() -> Limbeck {
    Limbeck::new(std::path::Path::new(env!("CARGO_MANIFEST_DIR")))
}

#[test]
fn help_of_every_command() {
    let mut all = String::new();
    for command in COMMANDS {
        let mut limbeck = here();
        for word in command.split_whitespace() {
            limbeck = limbeck.arg(word);
        }
        let help = limbeck.arg("--help").run().succeeds();
        assert!(help.stderr.is_empty(), "{}", help.stderr);
        let title = format!("limbeck {command}");
        let title = title.trim_end();
        all.extend(["==== ", title, " --help\n", &help.stdout, "\n"]);
    }
    expect_file!["snapshots/help.txt"].assert_eq(&all);
}

#[test]
fn every_command_is_in_the_snapshot() {
    let help = here().arg("--help").run().succeeds();
    let commands = help
        .stdout
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("\n\n")
        .next()
        .unwrap();
    // A description that does not fit goes on in a line that is pushed in further.
    let names = commands
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '));
    let commands: Vec<&str> = names
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        assert!(
            command == "help" || COMMANDS.contains(&command),
            "`{command}` is not in `COMMANDS`"
        );
    }
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = here().arg("--version").run().succeeds();
    assert_eq!(
        version.stdout,
        format!("limbeck {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn completions_name_every_command() {
    for (shell, begins) in [
        ("bash", "_limbeck()"),
        ("zsh", "#compdef limbeck"),
        ("fish", "# Print an optspec"),
    ] {
        let script = here().args(["completions", shell]).run().succeeds().stdout;
        assert!(
            script.starts_with(begins),
            "{shell}: {}",
            &script[..script.len().min(200)]
        );
        for command in ["harvest", "evaluate", "completions", "workdir"] {
            assert!(
                script.contains(command),
                "{shell} does not know `{command}`"
            );
        }
    }
    here()
        .args(["completions", "tcsh"])
        .run()
        .exits(2)
        .says(["possible values: bash, elvish, fish, powershell, zsh"]);
}

#[cfg(unix)]
#[test]
fn the_completions_of_bash_are_valid_bash() {
    let project = Project::choices(1);
    let script = "\"$0\" completions bash > limbeck.bash && if command -v bash > /dev/null; then bash -n limbeck.bash; fi";
    Limbeck::shell(project.path(), script).run().succeeds();
}

#[test]
fn what_init_writes_is_read_without_a_mistake() {
    let project = Project::choices(1);
    let init = project
        .limbeck()
        .args(["init", "deep/my-task"])
        .run()
        .succeeds();
    expect![[r#"
             Wrote deep/my-task/recipe.toml
             Wrote deep/my-task/prompts.jsonl
             Wrote deep/my-task/examples.jsonl
             Wrote deep/my-task/suite.jsonl
             Wrote deep/my-task/README.md
        next: limbeck run deep/my-task/recipe.toml
    "#]]
    .assert_eq(&init.stderr);
    let folder = project.path().join("deep/my-task");
    assert_eq!(
        names(&folder),
        [
            "README.md",
            "examples.jsonl",
            "prompts.jsonl",
            "recipe.toml",
            "suite.jsonl"
        ]
    );

    // As far as its teacher, which is not on this machine.
    let run = project
        .limbeck()
        .args(["run", "deep/my-task/recipe.toml", "--offline"])
        .run();
    run.fails_saying(["SmolLM2-135M-Instruct.Q4_1.gguf` is not in the cache"]);
    // With a teacher that is, to the end.
    let recipe = fs::read_to_string(folder.join("recipe.toml")).unwrap();
    let model = recipe
        .lines()
        .find(|line| line.starts_with("model = "))
        .unwrap();
    let sha256 = recipe
        .lines()
        .find(|line| line.starts_with("sha256 = "))
        .unwrap();
    let teacher = format!(
        "model = '{}'",
        crate::support::teacher::tiny_teacher().display()
    );
    let recipe = recipe
        .replace(model, &teacher)
        .replace(sha256, "")
        .replace("epochs = 60", "epochs = 2");
    fs::write(folder.join("recipe.toml"), recipe).unwrap();
    project
        .limbeck()
        .args(["harvest", "deep/my-task/recipe.toml"])
        .run()
        .succeeds();

    let again = project.limbeck().args(["init", "deep/my-task"]).run();
    again.fails_saying([
        "the folder `deep/my-task` is not empty",
        "hint: name a new folder, or an empty one",
    ]);
}

#[test]
fn an_error_is_its_message_its_causes_and_a_hint() {
    let project = Project::choices(1);
    let missing = project
        .limbeck()
        .args(["traces", "list", "--workdir", "nowhere"])
        .run()
        .exits(2);
    expect![[r#"
        error: there is no store at `nowhere/limbeck.db`
        hint: run a recipe first, or name its work folder with `--workdir`
    "#]]
    .assert_eq(&missing.stderr);
    assert!(missing.stdout.is_empty());

    let missing = project
        .limbeck()
        .args(["run", "nowhere.toml"])
        .run()
        .exits(2);
    expect![[r#"
        error: cannot read the recipe `nowhere.toml`
          Caused by: No such file or directory (os error 2)
    "#]]
    .assert_eq(&missing.stderr);

    project.edit("epochs = 2", "epoch = 2");
    let mistaken = project
        .limbeck()
        .args(["run", "recipe.toml"])
        .run()
        .exits(2);
    expect![[r#"
        error: unknown key `epoch`
            --> recipe.toml:35:1
             |
          35 | epoch = 2
             | ^^^^^
             = help: did you mean `epochs`?
    "#]]
    .assert_eq(&mistaken.stderr);

    project.edit("epoch = 2", "epochs = 2");
    let json = project
        .limbeck()
        .args(["run", "nowhere.toml", "--progress", "json"])
        .run()
        .exits(2);
    expect![[r#"
        {"event":"message","level":"error","text":"cannot read the recipe `nowhere.toml`","causes":["No such file or directory (os error 2)"],"hints":[]}
    "#]]
    .assert_eq(&json.stderr);
}

#[test]
fn colours_are_shown_where_asked_for_and_nowhere_else() {
    let project = Project::choices(1);
    let failing = || project.limbeck().args(["run", "nowhere.toml"]);
    let coloured = |stderr: &str| stderr.contains('\u{1b}');
    assert!(
        !coloured(&failing().run().exits(2).stderr),
        "a pipe is no terminal"
    );
    assert!(coloured(
        &failing().env("CLICOLOR_FORCE", "1").run().exits(2).stderr
    ));
    assert!(
        !coloured(
            &failing()
                .env("CLICOLOR_FORCE", "1")
                .env("NO_COLOR", "1")
                .run()
                .exits(2)
                .stderr
        ),
        "NO_COLOR wins"
    );
}

#[test]
fn quiet_prints_results_and_errors_only() {
    let project = Project::choices(8);
    let run = project.stage("run").args(["--quiet"]).run().succeeds();
    assert_eq!(run.stderr, "");
    assert!(run.stdout.contains("labels: Accuracy"), "{}", run.stdout);
    let again = project.stage("run").args(["-q", "--json"]).run().succeeds();
    assert_eq!(again.stderr, "");
    assert!(again.json().is_object());
    let failed = project
        .limbeck()
        .args(["-q", "run", "nowhere.toml"])
        .run()
        .exits(2);
    assert!(failed.stderr.starts_with("error: "), "{}", failed.stderr);
}

/// `head` goes away after its first line: the rest is not wanted, which is no failure.
#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_success() {
    let project = Project::choices(200);
    project.stage("harvest").run().succeeds();
    for command in [
        "traces list --workdir work --limit 200 --json",
        "completions zsh",
        "report recipe.toml --workdir work --json --quiet",
    ] {
        // `status` is that of limbeck, not that of `head`.
        let script = format!("{{ \"$0\" {command}; echo $? > status; }} | head -n 1");
        let run = Limbeck::shell(project.path(), &script).run().succeeds();
        assert_eq!(run.stdout.lines().count(), 1);
        assert_eq!(run.stderr, "", "{command}");
        assert_eq!(
            fs::read_to_string(project.path().join("status")).unwrap(),
            "0\n",
            "{command}"
        );
    }
    // Closed from the start, so that not a byte is taken.
    let script = "{ \"$0\" traces list --workdir work; echo $? > status; } | true; cat status";
    let run = Limbeck::shell(project.path(), script).run().succeeds();
    assert_eq!(run.stdout, "0\n", "{}", run.stderr);
}
