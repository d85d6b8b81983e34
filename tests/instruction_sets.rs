//! `LIMBECK_INSTRUCTION_SET`: the kernels on each path that this processor can take.

use serde_json::{Value, json};

use crate::support::{Project, teacher};

/// The names of the paths, what reports call them, and whether this processor can take them.
fn paths() -> [(&'static str, &'static str, bool); 3] {
    #[cfg(target_arch = "x86_64")]
    {
        let narrow = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl");
        [
            ("portable", "portable", true),
            ("avx2", "AVX2", narrow),
            ("avx512", "AVX-512", narrow && wide),
        ]
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        [
            ("portable", "portable", true),
            ("neon", "NEON", cfg!(target_arch = "aarch64")),
            ("avx2", "AVX2", false),
        ]
    }
}

/// Checks that both hold the same numbers, but for `tolerance`; returns whether any differ at all.
#[track_caller]
fn near(found: &Value, expected: &Value, tolerance: f64) -> bool {
    let (found, expected) = (found.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let difference = found.as_f64().unwrap() - expected.as_f64().unwrap();
        assert!(
            difference.abs() < tolerance,
            "{found} instead of {expected}"
        );
    }
    found != expected
}

#[test]
fn training_loses_the_same_on_every_path() {
    let project = Project::choices(0);
    let train = |path: &str| {
        let small = [
            "bench",
            "train",
            "--width=40",
            "--layers=2",
            "--ffn=52",
            "--vocab=77",
            "--batch=3",
            "--sequence=21",
            "--steps=30",
            "--precision=f32",
            "--json",
        ];
        project
            .limbeck()
            .args(small)
            .env("LIMBECK_INSTRUCTION_SET", path)
            .run()
    };
    let usual = train("").succeeds().json();
    let mut widest = "";
    for (name, shown, has) in paths() {
        if !has {
            train(name).fails_saying(["`LIMBECK_INSTRUCTION_SET`", name, "`portable`"]);
            continue;
        }
        widest = shown;
        let measured = train(name).succeeds().json();
        assert_eq!(measured["instruction_set"], shown);
        let differs = near(&measured["losses"], &usual["losses"], 2e-5);
        assert!(
            !differs || usual["instruction_set"] != shown,
            "{shown} is what it took before"
        );
    }
    assert_eq!(usual["instruction_set"], widest);
}

#[test]
fn a_model_computes_the_same_on_every_path() {
    let project = Project::chat(0);
    let model = teacher::tiny_teacher().to_str().unwrap();
    let requests = ["hello there", "how are you? 12 345", "a"].map(|text| json!({"input": text}));
    project.rows("requests.jsonl", &requests);
    let on = |path: &str, command: &[&str]| {
        let mut limbeck = project.limbeck().env("LIMBECK_INSTRUCTION_SET", path);
        limbeck.command().args(command);
        limbeck.run().succeeds()
    };
    let probe = [
        "probe",
        model,
        "--requests",
        "requests.jsonl",
        "--max-tokens",
        "5",
    ];
    let usual = on("", &probe).json_lines();
    for (name, shown, _) in paths().into_iter().filter(|(_, _, has)| *has) {
        let found = on(name, &probe).json_lines();
        assert_eq!(found.len(), 3);
        for (found, usual) in found.iter().zip(&usual) {
            near(&found["logits"], &usual["logits"], 1e-4);
            assert_eq!(found["greedy"], usual["greedy"]);
        }
        let bench = ["bench", "decode", model, "--json", "--precision", "f32"];
        let few = ["--sequences", "2", "--prompt", "5", "--new", "3"];
        let measured = on(name, &[&bench[..], &few[..]].concat()).json();
        assert_eq!(measured["instruction_set"], shown);
    }
}

#[test]
fn a_path_that_is_none_is_refused_before_anything_is_done() {
    let project = Project::choices(2);
    let run = project
        .stage("run")
        .env("LIMBECK_INSTRUCTION_SET", "AVX2\u{7}");
    let refused = run.run().fails_saying([
        "the variable `LIMBECK_INSTRUCTION_SET` cannot be obeyed",
        "there are no kernels for `AVX2",
        "hint: name one of `portable`",
    ]);
    assert!(!refused.stderr.contains('\u{7}'), "{}", refused.stderr);
    assert!(!project.work("").exists());
    let audit = project
        .stage("audit")
        .env("LIMBECK_INSTRUCTION_SET", "none");
    audit.run().exits(64).says(["no kernels for `none`"]);
}
