//! `[student]` and `[train]`.

use super::{Checker, LEAST_VOCABULARY, MOST_VOCABULARY};
use crate::recipe::learning::{Init, ShapeSection, StudentSection, TokenizerChoice, TrainSection};

impl Checker<'_> {
    pub(super) fn student(&mut self, student: &StudentSection) {
        if let Init::Embeddings(teacher) = &student.init {
            self.teacher_name("student.init.embeddings", teacher);
        }
        match &student.tokenizer {
            TokenizerChoice::Trim(teacher) => {
                self.teacher_name("student.tokenizer.trim", teacher);
            }
            TokenizerChoice::TrainBpe(size) => {
                let holds = (LEAST_VOCABULARY..=MOST_VOCABULARY).contains(size);
                self.expect(holds, "student.tokenizer.train_bpe", size, "260 to 1048576");
                if matches!(student.init, Init::Embeddings(_)) {
                    self.wrong_with_help(
                        "student.init",
                        "a trained tokenizer has none of the teacher's tokens to take embeddings of",
                        "use `tokenizer = { trim = … }`, or `init = \"scratch\"`",
                    );
                }
            }
        }
        self.shape(&student.shape);
    }

    fn shape(&mut self, shape: &ShapeSection) {
        let at = |key: &str| format!("student.shape.{key}");
        for (key, value, most) in [
            ("layers", shape.layers, 256),
            ("width", shape.width, 16_384),
            ("heads", shape.heads, 256),
            ("ffn", shape.ffn, 65_536),
            ("context", shape.context, 131_072),
        ] {
            let holds = (1..=most).contains(&value);
            self.expect(holds, &at(key), value, &format!("1 to {most}"));
        }
        let ShapeSection { width, heads, .. } = *shape;
        if heads == 0 || width == 0 {
            return;
        }
        if width % heads != 0 {
            self.wrong(
                at("width"),
                format!("`width` is {width}, expected a multiple of the {heads} `heads`"),
            );
        } else if (width / heads) % 2 != 0 {
            let size = width / heads;
            self.wrong(
                at("width"),
                format!("`width` over `heads` is {size}, expected an even number: rotary positions turn pairs"),
            );
        }
        if let Some(groups) = shape.key_value_heads
            && (groups == 0 || heads % groups != 0)
        {
            self.wrong(
                at("key_value_heads"),
                format!("`key_value_heads` is {groups}, expected a divisor of the {heads} `heads`"),
            );
        }
    }

    pub(super) fn train(&mut self, train: &TrainSection) {
        if let Some(objective) = &train.objective {
            let parts = [
                ("cross_entropy", objective.cross_entropy),
                ("forward_kl", objective.forward_kl),
            ];
            for (key, weight) in parts {
                let holds = weight >= 0.0 && weight.is_finite();
                let at = format!("train.objective.{key}");
                self.expect(holds, &at, weight, "0 or more");
            }
            if parts.iter().all(|(_, weight)| *weight == 0.0) {
                self.wrong("train.objective", "every part of the objective weighs 0");
            }
        }
        let at = |key: &str| format!("train.{key}");
        let positive = |value: f64| value > 0.0 && value.is_finite();
        let not_negative = |value: f64| value >= 0.0 && value.is_finite();
        let below_one = |value: f64| (0.0..1.0).contains(&value);
        let numbers: [(&str, Option<f64>, fn(f64) -> bool, &str); 7] = [
            (
                "epochs",
                train.epochs.map(f64::from),
                positive,
                "more than 0",
            ),
            (
                "language_model_epochs",
                train.language_model_epochs.map(f64::from),
                not_negative,
                "0 or more",
            ),
            (
                "learning_rate",
                train.learning_rate,
                positive,
                "more than 0",
            ),
            (
                "warmup",
                train.warmup,
                below_one,
                "0 or more and less than 1",
            ),
            (
                "weight_decay",
                train.weight_decay,
                not_negative,
                "0 or more",
            ),
            ("clip", train.clip, positive, "more than 0"),
            (
                "held_out",
                train.held_out,
                below_one,
                "0 or more and less than 1",
            ),
        ];
        for (key, value, holds, expected) in numbers {
            if let Some(value) = value {
                self.expect(holds(value), &at(key), value, expected);
            }
        }
        for (key, value) in [
            ("batch_tokens", train.batch_tokens),
            ("checkpoint_every", train.checkpoint_every),
        ] {
            if value == Some(0) {
                self.expect(false, &at(key), 0, "1 or more");
            }
        }
    }
}
