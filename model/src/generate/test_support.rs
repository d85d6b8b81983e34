//! Requests to a tiny model.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::decoder::test_support::{odd_config, random_weights};
use crate::{DecodeError, Decoder, ModelError, PreTokenizer, Precision, Tokenizer, TokenizerParts};

pub(super) fn decoder(precision: Precision) -> Arc<Decoder> {
    let config = odd_config(true);
    Arc::new(Decoder::load(&config, &random_weights(&config), precision).unwrap())
}

/// One token for each of 100 printable characters, and one control token.
pub(super) fn tokenizer() -> Tokenizer {
    let tokens = ('!'..='~')
        .chain('¡'..='¦')
        .map(String::from)
        .chain([String::from("<|end|>")])
        .collect::<Vec<_>>();
    assert_eq!(tokens.len(), 101);
    let parts = TokenizerParts {
        tokens,
        merges: Vec::new(),
        control: BTreeSet::from([100]),
        pre: PreTokenizer::Gpt2,
        bos: None,
        eos: 100,
        pad: None,
    };
    Tokenizer::from_parts(parts).unwrap()
}

pub(super) fn sampling(seed: u64) -> Sampling {
    Sampling {
        temperature: 0.9,
        top_p: 0.95,
        seed,
        max_tokens: 12,
        top_logprobs: 3,
    }
}

pub(super) fn generate(id: u64, tokens: Vec<u32>, sampling: Sampling) -> Request {
    Request {
        id,
        prefix: None,
        tokens,
        task: Task::Generate {
            sampling,
            stop_tokens: vec![],
            stop: vec![],
        },
    }
}

pub(super) fn choose(id: u64, tokens: Vec<u32>, choices: &[Vec<u32>]) -> Request {
    Request {
        id,
        prefix: None,
        tokens,
        task: Task::Choose {
            choices: choices.to_vec(),
        },
    }
}

/// Answers by request, submitting whenever there is room.
pub(super) fn run(
    decoder: &Arc<Decoder>,
    capacity: usize,
    requests: Vec<Request>,
) -> BTreeMap<u64, Output> {
    let mut batcher = Batcher::new(decoder.clone(), Some(tokenizer()), capacity);
    let mut requests = requests.into_iter();
    let mut outputs = BTreeMap::new();
    loop {
        while batcher.has_room()
            && let Some(request) = requests.next()
        {
            batcher.submit(request).unwrap();
        }
        if batcher.is_idle() {
            return outputs;
        }
        for output in batcher.step().unwrap() {
            assert!(
                outputs.insert(output.id, output).is_none(),
                "answered twice"
            );
        }
    }
}

pub(super) fn generated(output: &Output) -> (Vec<u32>, FinishReason) {
    match &output.result {
        OutputResult::Generated { tokens, finish } => {
            (tokens.iter().map(|token| token.id).collect(), *finish)
        }
        OutputResult::Chosen { .. } => panic!("a text was expected"),
    }
}

pub(super) fn log_probabilities(output: &Output) -> &[f32] {
    match &output.result {
        OutputResult::Chosen { log_probabilities } => log_probabilities,
        OutputResult::Generated { .. } => panic!("a choice was expected"),
    }
}

pub(super) fn refusal(decoder: &Arc<Decoder>, request: Request) -> DecodeError {
    match Batcher::new(decoder.clone(), None, 1).submit(request) {
        Err(ModelError::Decode(error)) => error,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
