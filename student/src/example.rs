//! What the student is shown and what it should answer.

use serde::{Deserialize, Serialize};

/// The chat template of every student: a message between two marks, then the answer and the end token.
///
/// There is no begin token. `<|endoftext|>` ends an answer; a reader that stops there reads the answer and nothing else.
pub const STUDENT_CHAT_TEMPLATE: &str = "{% for message in messages %}\
{% if message['role'] == 'assistant' %}{{ message['content'] + '<|endoftext|>' }}\
{% else %}{{ '<|im_start|>' + message['content'] + '<|im_end|>' }}{% endif %}{% endfor %}";

/// The mark before a message.
pub const START_OF_INPUT: &str = "<|im_start|>";
/// The mark after a message; the answer follows.
pub const END_OF_INPUT: &str = "<|im_end|>";
/// The token that ends an answer.
pub const END_OF_ANSWER: &str = "<|endoftext|>";

/// One thing to learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Stable name; decides by its hash whether the example is held out.
    pub id: String,
    /// The bare text that the student sees.
    pub input: String,
    /// What it should answer.
    pub target: Target,
}

/// The answer to learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Target {
    /// A text, and nothing known about what else the teacher might have written.
    Text(String),
    /// A text with the teacher's strongest candidates at each of its tokens.
    TextWithTop {
        /// The answer; it may be shorter than the tokens where it was repaired or trimmed.
        text: String,
        /// What the teacher generated, in order, its end token included where it wrote one.
        tokens: Vec<TeacherToken>,
    },
    /// One of a list of answers, with the teacher's probability of each.
    Labels {
        /// The answers; distinct and not empty.
        choices: Vec<String>,
        /// As long as `choices`; need not sum to one.
        probabilities: Vec<f64>,
    },
    /// No answer: a text of the task that only language modelling learns from.
    Unlabelled,
}

/// One token that the teacher generated, in the teacher's ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TeacherToken {
    /// The token.
    pub id: u32,
    /// Candidates with natural-log probabilities at temperature 1, before truncation, the strongest first.
    pub top: Vec<(u32, f32)>,
}
