#![expect(clippy::unwrap_used, reason = "tests")]

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, serialize};

use super::*;
use crate::testing::{tiny_config, tiny_tokenizer, tiny_weights};
use crate::{ModelConfig, ModelFiles, WeightSource};

fn write_tiny(folder: &Path, config: &ModelConfig) {
    let (weights, tokenizer) = (tiny_weights(config, 3), tiny_tokenizer());
    write_hugging_face_folder(
        folder,
        config,
        &weights,
        &tokenizer,
        Some("{{ 1 }}"),
        Some("mit"),
    )
    .unwrap();
}

#[test]
fn what_is_written_reads_back() {
    for tied_embeddings in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("student");
        let config = ModelConfig {
            tied_embeddings,
            ..tiny_config()
        };
        write_tiny(&path, &config);
        let files = ModelFiles::open(&path).unwrap();
        assert_eq!(files.config, config);
        assert_eq!(files.tokenizer.parts(), tiny_tokenizer().parts());
        assert_eq!(files.chat_template.unwrap().source(), "{{ 1 }}");
        assert_eq!(
            (files.name.as_str(), files.license.as_deref()),
            ("student", Some("mit"))
        );
        for (name, weight) in tiny_weights(&config, 3) {
            assert_eq!(files.weights.load(&name).unwrap(), weight, "{name}");
        }
        assert!(
            files
                .weights
                .load("model.layers.9.mlp.up_proj.weight")
                .is_err()
        );
        // Nothing but the five files is left behind.
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 5);
    }
}

#[test]
fn a_separate_template_file_comes_first() {
    let folder = tempfile::tempdir().unwrap();
    write_tiny(folder.path(), &tiny_config());
    std::fs::write(folder.path().join("chat_template.jinja"), "two").unwrap();
    assert_eq!(
        read_chat_template(folder.path()).unwrap().as_deref(),
        Some("two")
    );
}

#[test]
fn the_default_of_several_templates_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"chat_template": [{"name": "tools", "template": "a"}, {"name": "default", "template": "b"}]}"#;
    std::fs::write(folder.path().join("tokenizer_config.json"), json).unwrap();
    assert_eq!(
        read_chat_template(folder.path()).unwrap().as_deref(),
        Some("b")
    );
}

#[test]
fn half_precision_and_shards_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let values = [1.5_f32, -2.0, 0.25, 3.0];
    let half: Vec<u8> = values
        .iter()
        .flat_map(|&v| f16::from_f32(v).to_le_bytes())
        .collect();
    let brain: Vec<u8> = values
        .iter()
        .flat_map(|&v| bf16::from_f32(v).to_le_bytes())
        .collect();
    let whole: Vec<u8> = [1_i32, 2, 3, 4]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    for (file, name, kind, data) in [
        ("a.safetensors", "half", Dtype::F16, &half),
        ("b.safetensors", "brain", Dtype::BF16, &brain),
        ("c.safetensors", "whole", Dtype::I32, &whole),
    ] {
        let view = TensorView::new(kind, vec![2, 2], data).unwrap();
        std::fs::write(
            folder.path().join(file),
            serialize([(name, view)], None).unwrap(),
        )
        .unwrap();
    }
    let index = r#"{"weight_map": {"half": "a.safetensors", "brain": "b.safetensors", "whole": "c.safetensors"}}"#;
    let index_path = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index_path, index).unwrap();
    let weights = SafetensorsFile::open_folder(folder.path()).unwrap();
    for name in ["half", "brain"] {
        let weight = weights.load(name).unwrap();
        assert_eq!(
            (weight.shape, weight.data),
            (vec![2, 2], values.to_vec()),
            "{name}"
        );
    }
    assert!(matches!(
        weights.load("whole"),
        Err(ModelError::Unsupported { .. })
    ));
    std::fs::write(
        &index_path,
        r#"{"weight_map": {"half": "../a.safetensors"}}"#,
    )
    .unwrap();
    assert!(matches!(
        SafetensorsFile::open_folder(folder.path()),
        Err(ModelError::Malformed { .. })
    ));
}

#[test]
fn folders_that_do_not_fit_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(
        ModelFiles::open(path),
        Err(ModelError::NotAModel { .. })
    ));
    assert!(matches!(
        ModelFiles::open(&path.join("none")),
        Err(ModelError::Io { .. })
    ));
    write_tiny(path, &tiny_config());
    let weights = std::fs::read(path.join("model.safetensors")).unwrap();
    std::fs::write(
        path.join("model.safetensors"),
        &weights[..weights.len() - 4],
    )
    .unwrap();
    assert!(matches!(
        ModelFiles::open(path),
        Err(ModelError::Safetensors { .. })
    ));
    std::fs::write(path.join("model.safetensors"), &weights).unwrap();
    let wider = ModelConfig {
        feed_forward: 97,
        ..tiny_config()
    };
    std::fs::write(
        path.join("config.json"),
        wider.to_hugging_face(None, 0).to_string(),
    )
    .unwrap();
    assert!(matches!(
        ModelFiles::open(path),
        Err(ModelError::TensorShape { .. })
    ));
    std::fs::write(path.join("config.json"), "{").unwrap();
    assert!(matches!(
        ModelFiles::open(path),
        Err(ModelError::Json { .. })
    ));
}
