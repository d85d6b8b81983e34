//! The report's contract, its safety and its page.
#![expect(clippy::unwrap_used, reason = "tests")]

use expect_test::{expect, expect_file};
use serde_json::Value;

use super::*;

/// Refresh with `UPDATE_EXPECT=1 cargo test -p limbeck-cli published_schema`.
#[test]
fn the_published_schema_is_that_of_the_code() {
    let schema = serde_json::to_string_pretty(&schemars::schema_for!(Report)).unwrap() + "\n";
    expect_file!["../../../docs/report.schema.json"].assert_eq(&schema);
}

#[test]
fn the_json_has_what_others_build_on() {
    let json: Value = serde_json::from_str(&fixture::full().to_json().unwrap()).unwrap();
    for (section, fields) in [
        (
            "/harvest",
            "prompts traces asked reused seconds tokens_per_second teacher source",
        ),
        ("/curate", "kept dropped checks"),
        (
            "/train",
            "parameters tokens tokens_per_second seconds final_loss held_out_loss curve",
        ),
        (
            "/evaluate/suites/0",
            "name metric teacher student floors gate passed agreement",
        ),
        (
            "/evaluate/suites/0/teacher",
            "name score low high n requests_per_second peak_rss_bytes",
        ),
        (
            "/evaluate/suites/0/floors/1",
            "name score low high n requests_per_second peak_rss_bytes",
        ),
        (
            "/export/0",
            "format path bytes sha256 max_logit_difference tokens_per_second",
        ),
        ("/samples/0", "input teacher student expected"),
    ] {
        let object = json.pointer(section).unwrap().as_object().unwrap();
        for field in fields.split(' ') {
            assert!(object.contains_key(field), "{section} lacks {field}");
        }
    }
    assert_eq!(json["evaluate"]["suites"][0]["metric"], "accuracy");
}

#[test]
fn what_is_written_is_read_back() {
    let dir = tempfile::tempdir().unwrap();
    fixture::generative().write(dir.path()).unwrap();
    let report = fixture::full();
    report.write(dir.path()).unwrap();
    let json = std::fs::read_to_string(dir.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["report.html", "report.json"],
        "nothing else is left behind"
    );
}

#[test]
fn a_missing_folder_is_an_error_that_names_the_file() {
    let error = fixture::full()
        .write("no/such/folder".as_ref())
        .unwrap_err();
    expect!["cannot write `no/such/folder/report.json`"].assert_eq(&error.to_string());
}

#[test]
fn a_run_of_one_stage_has_a_page() {
    let report = Report {
        recipe: RecipeIdentity {
            name: "half".into(),
            ..RecipeIdentity::default()
        },
        created: "yesterday".into(),
        ..Report::default()
    };
    let html = report.to_html().unwrap();
    assert!(html.contains("No gates set") && html.contains("on yesterday"));
    assert!(!html.contains("<h2>Files") && !html.contains("<h2>Training"));
    let json = report.to_json().unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

/// Puts hostile text into every string of a report.
fn poisoned(value: &mut Value, hostile: &str) {
    match value {
        Value::String(text) if text != "accuracy" => *text = hostile.to_owned(),
        Value::Array(items) => items.iter_mut().for_each(|item| poisoned(item, hostile)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| poisoned(field, hostile)),
        _ => {}
    }
}

#[test]
fn hostile_text_cannot_leave_its_place() {
    let hostile = "<script>alert(1)</script>\"' onload='x' {{ 7*7 }}</style>\x1b[31m\u{202e}\u{0}";
    let mut json = serde_json::to_value(fixture::full()).unwrap();
    poisoned(&mut json, hostile);
    let report: Report = serde_json::from_value(json).unwrap();
    let html = report.to_html().unwrap();
    assert!(!html.contains("<script"), "no element of theirs");
    assert_eq!(
        html.matches("</style>").count(),
        1,
        "the style ends where it should"
    );
    assert!(
        !html.contains("onload='x'") && !html.contains("\"' on"),
        "no attribute of theirs"
    );
    assert!(
        html.contains("{{ 7*7 }}") && !html.contains("49 "),
        "no template of theirs"
    );
    let acting = |c: char| c == '\u{202e}' || (c.is_control() && c != '\n');
    assert_eq!(html.chars().find(|&c| acting(c)), None);
    assert!(html.contains("␛[31m⟨U+202E⟩␀"), "it is shown as what it is");
    let sample = html.split("<p class=\"input\"").nth(1).unwrap();
    let sample = sample.split("</p>").next().unwrap();
    expect![[r#" dir="auto">&lt;script&gt;alert(1)&lt;&#x2f;script&gt;&quot;&#x27; onload=&#x27;x&#x27; {{ 7*7 }}&lt;&#x2f;style&gt;␛[31m⟨U+202E⟩␀"#]]
    .assert_eq(sample);
}

#[test]
fn the_page_fetches_and_runs_nothing() {
    let html = fixture::full().to_html().unwrap();
    for forbidden in [
        "http://",
        "https://",
        "<script",
        "<link",
        "<img",
        "<iframe",
        "url(",
        "@import",
        "javascript:",
    ] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("default-src 'none'"));
}

#[test]
fn the_page_says_the_headline() {
    let html = fixture::full().to_html().unwrap();
    let text = |class: &str| {
        let start = html
            .split(&format!("<p class=\"{class}\">"))
            .nth(1)
            .unwrap();
        start.split("</p>").next().unwrap().to_owned()
    };
    expect!["All 4 gates passed"].assert_eq(&text("verdict passed"));
    expect!["A student of 1.3 M parameters learned from 3,380 answers of smollm2. On 1,000 held-out rows its accuracy is 79.7 %, its teacher’s 81.2 %, and it answers 192 times as many requests a second."].assert_eq(&text("lede"));
    let missed = fixture::generative().to_html().unwrap();
    assert!(missed.contains("1 of 3 gates missed"));
    assert!(
        html.contains("aria-label=\"Accuracy: smollm2 81.2 % (95 % interval 78.7–83.6 %); student")
    );
    assert!(html.contains("aria-label=\"Loss over 720 steps: training loss from"));
    assert_eq!(html.matches("<article").count(), 20);
}

#[test]
#[ignore = "writes pages to look at into target/report-preview; `.ci/run` runs it"]
fn preview() {
    for (name, report) in [
        ("full", fixture::full()),
        ("generative", fixture::generative()),
    ] {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/report-preview")
            .join(name);
        std::fs::create_dir_all(&dir).unwrap();
        report.write(&dir).unwrap();
    }
}
