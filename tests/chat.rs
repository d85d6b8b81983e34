//! `limbeck chat`, `probe` and `bench` with the student of a run.

use crate::support::{Project, teacher};

fn trained() -> Project {
    let project = Project::chat(20);
    project.stage("run").run().succeeds();
    project
}

#[test]
fn a_pipe_gets_a_line_for_each_line() {
    let project = trained();
    for model in ["work/student", "work/export", "work/export/tiny-F16.gguf"] {
        let chat = |input: &str| {
            project
                .limbeck()
                .args(["chat", model])
                .input(input)
                .run()
                .succeeds()
        };
        let both = chat("hello there\nhow are you\n");
        assert_eq!(both.stderr, "", "{model}: a pipe gets no welcome");
        let lines: Vec<&str> = both.stdout.lines().collect();
        assert_eq!(lines.len(), 2, "{model}");
        assert_eq!(
            chat("how are you\n").stdout.lines().next(),
            Some(lines[1]),
            "{model}: each line is a chat of its own"
        );
        assert_eq!(chat("").stdout, "");
        assert_eq!(chat("no line break at the end").stdout.lines().count(), 1);
    }
}

#[test]
fn the_seed_and_the_temperature_decide_what_is_drawn() {
    let project = trained();
    let chat = |seed: &str, temperature: &str| {
        let options = [
            "chat",
            "work/student",
            "--seed",
            seed,
            "--temperature",
            temperature,
            "--max-tokens",
            "20",
        ];
        project
            .limbeck()
            .args(options)
            .input("tell me\n")
            .run()
            .succeeds()
            .stdout
    };
    assert_eq!(chat("1", "1.0"), chat("1", "1.0"));
    assert_ne!(chat("1", "1.0"), chat("2", "1.0"));
    assert_eq!(chat("1", "0"), chat("2", "0"), "nothing is drawn");
}

#[test]
fn a_line_that_is_too_long_is_an_error_with_its_number() {
    let project = trained();
    let input = format!("short\n{}\n", "long ".repeat(200));
    let chat = project
        .limbeck()
        .args(["chat", "work/student"])
        .input(input)
        .run();
    let chat = chat.fails_saying(["cannot answer line 2", "tokens"]);
    assert_eq!(chat.stdout.lines().count(), 1, "the first was answered");
}

#[test]
fn the_teacher_can_be_talked_to_as_well() {
    let project = Project::choices(1);
    let teacher = teacher::tiny_teacher().display().to_string();
    let chat = project
        .limbeck()
        .args(["chat", &teacher, "--system", "be brief"])
        .input("hello\n")
        .run()
        .succeeds();
    assert_eq!(chat.stdout.lines().count(), 1);
}

#[test]
fn a_probe_and_a_bench_print_json() {
    let project = trained();
    project.file(
        "requests.jsonl",
        "{\"input\": \"hello\"}\n\n{\"input\": \"\"}\n",
    );
    let probe = [
        "probe",
        "work/student",
        "--requests",
        "requests.jsonl",
        "--max-tokens",
        "3",
    ];
    let rows = project.limbeck().args(probe).run().succeeds().json_lines();
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter()
            .all(|row| row["greedy"].as_array().unwrap().len() <= 3
                && !row["logits"].as_array().unwrap().is_empty())
    );
    project.file("requests.jsonl", "{\"input\": \"hello\"}\n{\"text\": 1}\n");
    project.limbeck().args(probe).run().fails_saying([
        "`requests.jsonl`, line 2",
        "hint: each line is a JSON object",
    ]);

    let bench = [
        "bench",
        "decode",
        "work/student",
        "--sequences",
        "2",
        "--prompt",
        "4",
        "--new",
        "4",
        "--json",
    ];
    let measured = project.limbeck().args(bench).run().succeeds().json();
    assert!(
        measured["tokens_per_second"].as_f64().unwrap() > 0.0,
        "{measured}"
    );
}

#[test]
fn a_bench_computes_in_what_it_is_told_to() {
    let project = Project::choices(20);
    project.stage("run").run().succeeds();
    let precision = |precision: &str| {
        let bench = [
            "bench",
            "decode",
            "work/export/tiny-Q8_0.gguf",
            "--sequences=3",
            "--prompt=2",
            "--new=2",
            "--json",
            "--precision",
            precision,
        ];
        let measured = project.limbeck().args(bench).run().succeeds().json();
        measured["precision"].as_str().unwrap().to_owned()
    };
    assert_eq!(precision("integer"), "integer");
    assert_eq!(precision("f32"), "f32");
    assert!(["bf16", "integer", "f32"].contains(&precision("auto").as_str()));
}
