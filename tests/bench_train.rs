//! `limbeck bench train`: the training step on generated weights and texts.

use serde_json::Value;

use crate::support::{Limbeck, Project};

fn bench(project: &Project, threads: &str) -> Limbeck {
    let small = [
        "bench",
        "train",
        "--width=32",
        "--layers=2",
        "--ffn=48",
        "--vocab=64",
        "--batch=3",
        "--sequence=21",
        "--steps=30",
    ];
    project
        .limbeck()
        .args(small)
        .env("RAYON_NUM_THREADS", threads)
}

#[test]
fn it_measures_what_it_says_and_repeats_itself() {
    let project = Project::choices(0);
    let measure = |threads, seed| -> Value {
        let bench = bench(&project, threads).args(["--json", "--seed", seed]);
        bench.run().succeeds().json()
    };
    let measured = measure("2", "1");
    assert!(
        measured["tokens_per_second"].as_f64().unwrap() > 0.0,
        "{measured}"
    );
    assert_eq!(
        measured["parameters"],
        64 * 32 + 2 * (4 * 32 * 32 + 3 * 32 * 48 + 2 * 32) + 32
    );
    assert_eq!(measured["threads"], 2);
    assert!(measured["instruction_set"].is_string() && measured["precision"].is_string());
    #[cfg(target_os = "linux")]
    assert!(measured["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    let losses = measured["losses"].as_array().unwrap();
    assert_eq!(losses.len(), 32);
    assert_eq!(losses.first(), measured.get("first_loss"));
    assert_eq!(losses.last(), measured.get("last_loss"));
    let loss = |place: usize| losses[place].as_f64().unwrap();
    assert!((loss(0) - 64f64.ln()).abs() < 0.1, "{measured}");
    assert!(loss(31) < loss(0) - 0.02, "{measured}");
    assert_eq!(measure("1", "1")["losses"], measured["losses"]);
    assert_ne!(measure("1", "2")["losses"], measured["losses"]);
}

#[test]
fn people_get_a_table() {
    let project = Project::choices(0);
    let table = bench(&project, "1").run().succeeds().stdout;
    for part in [
        "tokens a second",
        "on 1 threads",
        "loss ",
        "3 texts of 21 tokens",
    ] {
        assert!(table.contains(part), "{table}");
    }
}

#[test]
fn shapes_that_cannot_be_are_refused() {
    let project = Project::choices(0);
    let bench = |arguments: [&str; 4]| {
        let bench = project.limbeck().args(["bench", "train"]);
        bench.args(arguments).run()
    };
    bench(["--width", "250", "--heads", "4"]).fails_saying([
        "`--width 250` does not divide",
        "hint: ",
        "such as 256",
    ]);
    bench(["--width", "12", "--heads", "4"])
        .fails_saying(["even number of channels", "such as 16"]);
    bench(["--steps", "0", "--heads", "4"]).fails_saying(["invalid value '0'", "--steps"]);
    bench(["--width", "0", "--heads", "4"]).fails_saying(["invalid value '0'", "--width"]);
    bench(["--batch", "4096", "--sequence", "4096"])
        .fails_saying(["16777216 tokens a step", "1048576 at most"]);
    bench(["--width", "16384", "--layers", "256"])
        .fails_saying(["billion parameters", "2 billion at most"]);
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn devices_that_this_build_does_not_know_are_refused() {
    let project = Project::choices(0);
    let on = |device: &str| bench(&project, "2").args(["--device", device]);
    for device in ["cuda", "metal"] {
        let hint = format!("hint: build it with `--features {device}`");
        on(device).run().fails_saying(["cannot train on", &hint]);
    }
    let measured: Value = on("auto").args(["--json"]).run().succeeds().json();
    assert_eq!(measured["device"], "cpu");
}
