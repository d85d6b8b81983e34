#![expect(clippy::unwrap_used, reason = "tests")]

use tempfile::TempDir;

use super::*;
use crate::recipe::harvest::Form;

pub(super) const WHOLE: &str = include_str!("whole.toml");

pub(super) fn parse(text: &str) -> Result<Recipe, RecipeError> {
    let folder = TempDir::new().unwrap();
    for name in ["prompts.jsonl", "suite.jsonl"] {
        fs::write(folder.path().join(name), "{}\n").unwrap();
    }
    Recipe::parse(&folder.path().join("recipe.toml"), text)
}

#[test]
fn a_whole_recipe_is_read() {
    let recipe = parse(WHOLE).unwrap();
    assert_eq!(recipe.name(), "support-sentiment");
    assert_eq!(recipe.intent().uses, [Use::Train, Use::ReleaseModel]);
    assert_eq!(
        recipe.suites_teacher().unwrap().unwrap().limits.concurrent,
        64
    );
    let harvest = recipe.harvest().unwrap();
    assert_eq!((harvest.form, harvest.samples), (Form::Completion, 1));
    let prompts = harvest.prompts.as_ref().unwrap();
    assert!(prompts.exclude_near);
    assert_eq!(prompts.draw().sample, Some(3000));
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
        .harvest_teachers()
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
    assert_eq!(
        recipe.harvest().unwrap().prompts.as_ref().unwrap().source,
        "prompts.jsonl"
    );
    let names: Vec<&str> = recipe
        .evaluations()
        .iter()
        .map(|s| s.name.as_str())
        .collect();
    assert_eq!(names, ["ends", "ends-2", "mine"]);
    assert_eq!(recipe.evaluations()[0].suite, recipe.evaluations()[2].suite);
}

#[test]
fn several_mistakes_are_shown_in_the_order_of_the_file() {
    let text = WHOLE
        .replace("epochs = 4", "epochs = 0")
        .replace("seed = 1 }", "seed = 1 }\nsampling = { top_p = 1.5 }")
        .replace("sample = 1000", "sample = 0");
    let RecipeError::Invalid { diagnostics } = parse(&text).unwrap_err() else {
        panic!("another error");
    };
    let messages: Vec<_> = diagnostics.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "`top_p` is 1.5, expected more than 0 and at most 1",
            "`epochs` must be more than 0",
            "`sample` is 0, expected 1 or more",
        ]
    );
}

#[test]
fn the_plan_has_what_is_given_and_the_trainers_own_choice_of_the_rest() {
    let recipe = parse(&WHOLE.replace("epochs = 4", "epochs = 4\nseed = 7")).unwrap();
    let shape = &recipe.student().unwrap().shape;
    let plan = recipe.train().unwrap().plan(shape);
    let rest = limbeck_student::train::TrainPlan::default();
    assert_eq!((plan.epochs, plan.seed, plan.shape.ffn), (4.0, 7, 256));
    assert_eq!(plan.batch_tokens, rest.batch_tokens);
    assert_eq!(plan.precision, rest.precision);
    assert!(plan.validate().is_ok());
    let recipe = parse(&WHOLE.replace("epochs = 4", "epochs = 4\nprecision = \"bf16\"")).unwrap();
    let plan = recipe.train().unwrap().plan(shape);
    assert_eq!(plan.precision, limbeck_model::Precision::Bf16);
    let freeze = "epochs = 4\nfreeze = [\"embeddings\", \"layers.0\"]";
    let recipe = parse(&WHOLE.replace("epochs = 4", freeze)).unwrap();
    let train = recipe.train().unwrap();
    let names: Vec<String> = train
        .plan(shape)
        .freeze
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["embeddings", "layers.0"]);
    // What a stage is known by changes where the key is given, and nowhere else.
    let json = |train: &TrainSection| serde_json::to_value(train).unwrap();
    assert_eq!(
        json(train)["freeze"],
        serde_json::json!(["embeddings", "layers.0"])
    );
    assert!(
        json(parse(WHOLE).unwrap().train().unwrap())
            .get("freeze")
            .is_none()
    );
}

#[test]
fn a_divergence_from_candidates_needs_candidates() {
    let text = WHOLE
        .replace("choices = [\"positive\", \"negative\"]\n", "")
        .replace("metric = \"accuracy\"", "metric = \"ends\"");
    let error = parse(&text).unwrap_err().to_string();
    assert!(
        error.contains("`forward_kl` needs the teacher's candidates"),
        "{error}"
    );
    let kept = text.replace("seed = 1 }", "seed = 1 }\nsampling = { top_logprobs = 5 }");
    parse(&kept).unwrap();
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
