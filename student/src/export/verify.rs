//! Proof that a written model is the trained one: loaded back, it computes and tokenises the same.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use limbeck_model::{
    Batcher, ChatMessage, ChatTemplate, Decoder, GgufFile, GgufKind, ModelError, ModelFiles,
    OutputResult, Precision, Request, Sampling, Task, Tokenizer,
};

use super::round_trip::RoundTripped;
use super::{ExportError, ExportFormat, ExportModel};

/// Largest logit difference of a format that keeps every bit, and of a rounded one to the same rounding in memory.
const EXACT: f32 = 1e-5;
const SAME_ROUNDING: f32 = 1e-3;
/// Largest logit difference of 16-bit weights, relative to the largest logit. An f16 is off by up to 2⁻¹¹ of its value;
/// layers add these up and some make more of them (with frozen embeddings 16 of them were seen). That the file holds the
/// right weights is for [`SAME_ROUNDING`] to say; this is about whether 16 bits are enough for them.
const HALF_PRECISION: f32 = 2e-2;

/// Tokens of each greedy continuation that is compared.
const GREEDY_TOKENS: usize = 16;
/// Sequences and tokens of each for the quick look at the speed, and prompt tokens before them.
const SPEED_SEQUENCES: usize = 8;
const SPEED_TOKENS: usize = 32;
const SPEED_PROMPT: usize = 8;

/// Texts that tokenizers are known to disagree on.
pub(super) const AWKWARD: [&str; 14] = [
    "",
    " ",
    "  leading and trailing  ",
    "line\nbreaks\r\n\r\n\tand tabs\u{a0}no-break",
    "It's they'll WE'VE I'd 'tis",
    "12345 1,234.5 ١٢٣ 3.14e-10 v2.0",
    "naïve café Straße İstanbul e\u{301}",
    "日本語とEnglishの混在。你好，世界！",
    "مرحبا بالعالم שלום नमस्ते สวัสดี",
    "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 😀😀",
    "<|endoftext|><|im_start|>user\nhostile<|im_end|>",
    "http://example.com/a?b=c&d=%20#e @someone #tag",
    "fn main() { println!(\"{}\", x[0] += 1); } // ™ © ∑ ≠",
    "\u{0}\u{7}\u{1b}[31m \u{feff}\u{200b}\u{fffd}",
];

/// What verification found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Findings {
    pub(super) max_logit_difference: f32,
    pub(super) max_rounding_difference: f32,
    pub(super) greedy_agreement: f64,
    pub(super) tokens_per_second: f64,
}

/// The trained model with what it says to the probes.
pub(super) struct Verifier<'a> {
    model: ExportModel<'a>,
    decoder: Arc<Decoder>,
    texts: Vec<&'a str>,
    prompts: Vec<Vec<u32>>,
    greedy: Vec<Vec<u32>>,
}

impl<'a> Verifier<'a> {
    /// Loads the trained weights and answers the probes with them; no probes are the awkward texts.
    pub(super) fn new(model: ExportModel<'a>, probes: &'a [String]) -> Result<Self, ModelError> {
        let decoder = Arc::new(Decoder::load(model.config, model.weights, Precision::F32)?);
        let mut texts: Vec<&str> = probes.iter().map(String::as_str).collect();
        if texts.is_empty() {
            texts.extend(AWKWARD);
        }
        let context = model.config.context_length;
        let room = (context - GREEDY_TOKENS.min(context / 2)).max(1);
        let prompts = texts
            .iter()
            .map(|text| {
                let message = ChatMessage::new("user", *text);
                let mut tokens = model.template.encode(model.tokenizer, &[message], true)?;
                tokens.truncate(room);
                Ok(tokens)
            })
            .filter(|tokens| !matches!(tokens, Ok(tokens) if tokens.is_empty()))
            .collect::<Result<Vec<_>, ModelError>>()?;
        let greedy = greedy(&decoder, &prompts, model.tokenizer.eos())?;
        Ok(Self {
            model,
            decoder,
            texts,
            prompts,
            greedy,
        })
    }

    /// Loads the file that was written at `path`, or for safetensors the folder it is in, and compares it with the
    /// trained model. Errors call it `shown`: where it would have appeared.
    pub(super) fn check(
        &self,
        path: &Path,
        shown: &Path,
        format: ExportFormat,
    ) -> Result<Findings, ExportError> {
        let failed = ExportError::model(shown);
        let opened = match format {
            ExportFormat::Safetensors => path.parent().unwrap_or(path),
            ExportFormat::Gguf(_) => path,
        };
        let files = ModelFiles::open(opened).map_err(failed)?;
        self.check_parts(&files, shown)?;
        let load = |precision| Decoder::load(&files.config, files.weights.as_ref(), precision);
        let loaded = Arc::new(load(Precision::F32).map_err(failed)?);
        let found = self.compare(&self.decoder, &loaded).map_err(failed)?;
        let rounding = match format {
            ExportFormat::Safetensors => found,
            ExportFormat::Gguf(_) => self.compare_rounded(&loaded, path).map_err(failed)?,
        };
        judge_logits(found, rounding, format, shown)?;
        let end = self.model.tokenizer.eos();
        let continued = greedy(&loaded, &self.prompts, end).map_err(failed)?;
        let pairs = self.greedy.iter().zip(&continued);
        let same = pairs.filter(|(ours, theirs)| ours == theirs).count();
        drop(loaded);
        let fast = Arc::new(load(Precision::Auto).map_err(failed)?);
        Ok(Findings {
            max_logit_difference: found.difference,
            max_rounding_difference: rounding.difference,
            greedy_agreement: same as f64 / self.greedy.len().max(1) as f64,
            tokens_per_second: self.speed(&fast).map_err(failed)?,
        })
    }

    /// Shape, tokenizer and template are those of the trained model.
    fn check_parts(&self, files: &ModelFiles, path: &Path) -> Result<(), ExportError> {
        let differs = |part, detail: String| ExportError::Differs {
            path: path.to_owned(),
            part,
            detail,
        };
        let model = &self.model;
        if files.config != *model.config {
            let detail = format!("{:?} instead of {:?}", files.config, model.config);
            return Err(differs("shape", detail));
        }
        for text in AWKWARD.iter().chain(&self.texts) {
            for parse_special in [false, true] {
                let ours = model.tokenizer.encode(text, parse_special);
                let theirs = files.tokenizer.encode(text, parse_special);
                if ours != theirs
                    || model.tokenizer.decode(&ours) != files.tokenizer.decode(&theirs)
                {
                    let detail = format!("{text:?} is {theirs:?} instead of {ours:?}");
                    return Err(differs("tokenizer", detail));
                }
            }
        }
        if files.tokenizer.eos() != model.tokenizer.eos() {
            let (theirs, ours) = (files.tokenizer.eos(), model.tokenizer.eos());
            return Err(differs("end token", format!("{theirs} instead of {ours}")));
        }
        let Some(template) = &files.chat_template else {
            return Err(differs("chat template", "there is none".to_owned()));
        };
        let failed = ExportError::model(path);
        for text in &self.texts {
            let render = |template: &ChatTemplate, tokenizer: &Tokenizer| {
                let (user, assistant) = (ChatMessage::new("user", *text), "An answer.");
                let chat = [user, ChatMessage::new("assistant", assistant)];
                template.encode(tokenizer, &chat, false)
            };
            let ours = render(model.template, model.tokenizer).map_err(failed)?;
            let theirs = render(template, &files.tokenizer).map_err(failed)?;
            if ours != theirs {
                let detail = format!("a chat about {text:?} is {theirs:?} instead of {ours:?}");
                return Err(differs("chat template", detail));
            }
        }
        Ok(())
    }

    /// Compares with the trained weights rounded as the file at `path` rounds them.
    fn compare_rounded(&self, loaded: &Decoder, path: &Path) -> Result<Comparison, ModelError> {
        let file = GgufFile::open(path)?;
        let model = &self.model;
        let weights = RoundTripped::new(model.weights, &file, model.config);
        let rounded = Decoder::load(model.config, &weights, Precision::F32)?;
        self.compare(&rounded, loaded)
    }

    fn compare(&self, ours: &Decoder, theirs: &Decoder) -> Result<Comparison, ModelError> {
        let mut comparison = Comparison::default();
        for prompt in &self.prompts {
            comparison.add(&ours.logits(prompt)?, &theirs.logits(prompt)?);
        }
        Ok(comparison)
    }

    /// Tokens a second of a few sequences side by side.
    fn speed(&self, decoder: &Arc<Decoder>) -> Result<f64, ModelError> {
        let length = SPEED_PROMPT
            .min(self.model.config.context_length / 2)
            .max(1);
        let prompts: Vec<Vec<u32>> = self
            .prompts
            .iter()
            .cycle()
            .take(SPEED_SEQUENCES)
            .map(|prompt| prompt[..prompt.len().min(length)].to_vec())
            .collect();
        let start = Instant::now();
        let answers = continue_all(decoder, &prompts, SPEED_TOKENS, &[])?;
        let tokens: usize = answers.iter().map(Vec::len).sum();
        Ok(tokens as f64 / start.elapsed().as_secs_f64())
    }
}

/// The largest difference and the largest logit so far.
#[derive(Clone, Copy, Debug, Default)]
struct Comparison {
    difference: f32,
    largest: f32,
}

impl Comparison {
    /// Takes in logits of the same positions; other lengths, infinities and NaN count as an infinite difference.
    fn add(&mut self, ours: &[f32], theirs: &[f32]) {
        if ours.len() != theirs.len() {
            self.difference = f32::INFINITY;
        }
        for (our, their) in ours.iter().zip(theirs) {
            let difference = (our - their).abs();
            if difference.is_finite() {
                self.difference = self.difference.max(difference);
                self.largest = self.largest.max(our.abs());
            } else {
                self.difference = f32::INFINITY;
            }
        }
    }
}

/// Refuses logits too far from those of the trained weights (`found`), or of the trained weights rounded as the file
/// rounds them (`rounding`).
fn judge_logits(
    found: Comparison,
    rounding: Comparison,
    format: ExportFormat,
    shown: &Path,
) -> Result<(), ExportError> {
    let trained = match format {
        ExportFormat::Safetensors | ExportFormat::Gguf(GgufKind::F32) => EXACT,
        ExportFormat::Gguf(GgufKind::F16) => HALF_PRECISION * found.largest.max(1.0),
        // What these lose is for the metrics to say.
        ExportFormat::Gguf(GgufKind::Q8_0 | GgufKind::Q4_0) => f32::INFINITY,
    };
    let limits = [
        (
            rounding.difference,
            SAME_ROUNDING,
            "the trained weights rounded as the file rounds them",
        ),
        (found.difference, trained, "the trained weights"),
    ];
    for (difference, limit, against) in limits {
        if difference > limit {
            return Err(ExportError::Logits {
                path: shown.to_owned(),
                difference,
                limit,
                against,
            });
        }
    }
    Ok(())
}

fn greedy(
    decoder: &Arc<Decoder>,
    prompts: &[Vec<u32>],
    end: u32,
) -> Result<Vec<Vec<u32>>, ModelError> {
    continue_all(decoder, prompts, GREEDY_TOKENS, &[end])
}

/// The greedy continuation of each prompt.
fn continue_all(
    decoder: &Arc<Decoder>,
    prompts: &[Vec<u32>],
    max_tokens: usize,
    stop_tokens: &[u32],
) -> Result<Vec<Vec<u32>>, ModelError> {
    let mut batcher = Batcher::new(Arc::clone(decoder), None, SPEED_SEQUENCES);
    let mut waiting = prompts.iter().enumerate();
    let mut answers = vec![Vec::new(); prompts.len()];
    loop {
        while batcher.has_room()
            && let Some((at, prompt)) = waiting.next()
        {
            batcher.submit(Request {
                id: at as u64,
                prefix: None,
                tokens: prompt.clone(),
                task: Task::Generate {
                    sampling: Sampling {
                        temperature: 0.0,
                        top_p: 1.0,
                        seed: 0,
                        max_tokens,
                        top_logprobs: 0,
                    },
                    stop_tokens: stop_tokens.to_vec(),
                    stop: Vec::new(),
                },
            })?;
        }
        if batcher.is_idle() {
            return Ok(answers);
        }
        for output in batcher.step()? {
            if let OutputResult::Generated { tokens, .. } = output.result {
                answers[output.id as usize] = tokens.iter().map(|token| token.id).collect();
            }
        }
    }
}
