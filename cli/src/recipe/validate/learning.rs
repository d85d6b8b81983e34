//! `[student]` and `[train]`.

use limbeck_student::train::{Part, TrainError};

use super::{Checker, LEAST_VOCABULARY, MOST_VOCABULARY};
use crate::recipe::harvest::HarvestSection;
use crate::recipe::learning::{Init, ShapeSection, StudentSection, TokenizerChoice, TrainSection};

impl Checker<'_> {
    pub(super) fn student(&mut self, student: &StudentSection) {
        if let Init::Embeddings(teacher) = &student.init {
            self.local_teacher_name("student.init.embeddings", teacher);
        }
        match &student.tokenizer {
            TokenizerChoice::Trim(teacher) => {
                self.local_teacher_name("student.tokenizer.trim", teacher);
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

    /// What stays as it was must be there, and leave something to train.
    pub(super) fn freeze(&mut self, train: &TrainSection, student: &StudentSection) {
        if let Err(error) = Part::check(&train.freeze, &student.shape.to_shape()) {
            self.wrong("train.freeze", error.to_string());
        }
    }

    /// The trainer knows what it can be told; it stops at the first thing that it cannot.
    pub(super) fn train(&mut self, train: &TrainSection, harvest: Option<&HarvestSection>) {
        // Wrong shapes are told apart above, and are not to hide what is wrong here.
        let fine = ShapeSection {
            layers: 1,
            width: 32,
            heads: 1,
            key_value_heads: None,
            ffn: 32,
            context: 128,
            tied: true,
        };
        let mut plan = train.plan(&fine);
        plan.freeze.clear();
        if let Err(TrainError::Plan { field, expected }) = plan.validate() {
            self.wrong(
                format!("train.{field}"),
                format!("`{field}` must be {expected}"),
            );
        }
        if let Some(harvest) = harvest
            && plan.objective.forward_kl > 0.0
            && harvest.choices.is_none()
            && harvest.sampling.top_logprobs == 0
        {
            self.wrong_with_help(
                "train.objective",
                "`forward_kl` needs the teacher's candidates, and `[harvest]` keeps none",
                "add `sampling = { top_logprobs = 20 }` there, or use `cross_entropy` alone",
            );
        }
        let asked: Vec<&str> = match harvest.and_then(|harvest| harvest.teacher.as_ref()) {
            Some(names) => names.as_slice().iter().map(String::as_str).collect(),
            None => self.teachers.clone(),
        };
        let service = self
            .sections
            .iter()
            .find(|teacher| asked.contains(&teacher.name.as_str()) && !teacher.is_local());
        if let Some(teacher) = service
            && plan.objective.forward_kl > 0.0
            && harvest.is_some_and(|harvest| harvest.choices.is_none())
        {
            let message = format!(
                "`forward_kl` compares tokens of the teacher's own vocabulary, which `{}` does not tell",
                teacher.name
            );
            self.wrong_with_help(
                "train.objective",
                message,
                "use `cross_entropy` alone, or a local teacher",
            );
        }
    }
}
