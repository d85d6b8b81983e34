//! The state of a run on disk: one safetensors file, written beside and renamed, so that it is whole or absent.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use limbeck_model::Precision;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::optimizer::AdamW;
use super::parameters::Parameters;
use super::{CurvePoint, InitialWeights, TrainData, TrainError, TrainPlan};

/// Key of the progress in the file's metadata.
const PROGRESS: &str = "limbeck.training";
/// Version of the layout; a file of another is of another run.
const VERSION: u32 = 1;

/// Everything of a run that is not a tensor.
///
/// Losses are f32, which JSON carries exactly; the f64 sum is kept as its bits. The order of the data needs no entry:
/// it follows from the seed and the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub version: u32,
    pub fingerprint: String,
    /// What products were computed in; part of the fingerprint as well.
    #[serde(default = "before_precisions")]
    pub precision: Precision,
    /// Steps made.
    pub step: usize,
    pub tokens: u64,
    pub seconds: f64,
    pub updates: u64,
    pub curve: Vec<CurvePoint>,
    /// Sum of the losses since the curve's last point, as bits of an f64, and their number.
    pub pending_loss: u64,
    pub pending_steps: usize,
    pub best: Option<Best>,
    /// Evaluations since the best one.
    pub evaluations_since_best: u32,
    /// Training has ended: the held-out loss stopped falling.
    pub stopped_early: bool,
}

/// Files of before there was a choice do not say that they are of f32.
fn before_precisions() -> Precision {
    Precision::F32
}

/// The best evaluation so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Best {
    pub step: usize,
    pub loss: f32,
    pub agreement: Option<f32>,
}

/// A run's whole state.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    pub progress: Progress,
    pub weights: Vec<Vec<f32>>,
    pub optimizer: AdamW,
    /// Weights of the best evaluation; empty before the first.
    pub best: Vec<Vec<f32>>,
    /// Running mean of the weights; empty before averaging begins.
    pub average: Vec<Vec<f32>>,
}

/// How many numbers each tensor of a state has.
#[derive(Debug)]
pub(super) struct Sizes {
    weights: Vec<usize>,
    moments: Vec<usize>,
}

impl Sizes {
    pub fn of(parameters: &Parameters) -> Self {
        let parameters = parameters.0.iter();
        let sizes = parameters.map(|p| (p.variable.elem_count(), p.moments()));
        let (weights, moments) = sizes.unzip();
        Self { weights, moments }
    }
}

/// What makes two runs the same: plan, data and initial weights.
pub(super) fn fingerprint(
    plan: &TrainPlan,
    data: &TrainData<'_>,
    initial: &InitialWeights,
) -> String {
    let mut hasher = Sha256::new();
    // How often checkpoints are written changes no number.
    let plan = TrainPlan {
        checkpoint_every: 0,
        ..plan.clone()
    };
    // Serialisation to memory of types without maps cannot fail; were it to, equal runs would still be equal.
    let mut add = |json: serde_json::Result<Vec<u8>>| hasher.update(json.unwrap_or_default());
    add(serde_json::to_vec(&plan));
    add(serde_json::to_vec(data.tokenizer.parts()));
    add(serde_json::to_vec(&data.teacher_ids));
    for example in data.examples {
        add(serde_json::to_vec(example));
    }
    match initial {
        InitialWeights::Random => hasher.update(b"random"),
        InitialWeights::Embeddings(table) => {
            hasher.update(b"embeddings");
            hasher.update(bytes(&table.data));
        }
        InitialWeights::Weights(weights) => {
            for (name, tensor) in weights {
                hasher.update(name);
                hasher.update(bytes(&tensor.data));
            }
        }
    }
    hex::encode(hasher.finalize())
}

fn file(workdir: &Path) -> PathBuf {
    workdir.join("checkpoint.safetensors")
}

/// Writes the state.
pub(super) fn save(workdir: &Path, state: &mut State) -> Result<(), TrainError> {
    let path = file(workdir);
    let access = |source| TrainError::CheckpointAccess {
        path: path.clone(),
        source,
    };
    state.progress.version = VERSION;
    state.progress.updates = state.optimizer.updates;
    let buffers: Vec<(String, Vec<u8>)> = groups(state)
        .into_iter()
        .flat_map(|(group, tensors)| {
            tensors
                .iter()
                .enumerate()
                .map(move |(i, t)| (format!("{group}.{i:04}"), bytes(t)))
        })
        .collect();
    let damaged = |reason: String| TrainError::CheckpointDamaged {
        path: path.clone(),
        reason,
    };
    let views: Vec<(&str, TensorView<'_>)> = buffers
        .iter()
        .map(|(name, bytes)| {
            Ok((
                name.as_str(),
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<_, safetensors::SafeTensorError>>()
        .map_err(|error| damaged(error.to_string()))?;
    let progress =
        serde_json::to_string(&state.progress).map_err(|error| damaged(error.to_string()))?;
    let metadata = HashMap::from([(PROGRESS.to_owned(), progress)]);
    let serialized = safetensors::serialize(views, Some(metadata))
        .map_err(|error| damaged(error.to_string()))?;
    std::fs::create_dir_all(workdir).map_err(access)?;
    let mut beside = tempfile::NamedTempFile::new_in(workdir).map_err(access)?;
    beside.write_all(&serialized).map_err(access)?;
    beside.as_file().sync_all().map_err(access)?;
    beside.persist(&path).map_err(|error| access(error.error))?;
    Ok(())
}

/// Reads the state of the run with this fingerprint and precision; `None` where there is no file.
pub(super) fn load(
    workdir: &Path,
    fingerprint: &str,
    precision: Precision,
    sizes: &Sizes,
) -> Result<Option<State>, TrainError> {
    let path = file(workdir);
    let content = match std::fs::read(&path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TrainError::CheckpointAccess { path, source }),
    };
    let progress = read_progress(&content).map_err(|reason| TrainError::CheckpointDamaged {
        path: path.clone(),
        reason,
    })?;
    if progress.version == VERSION && progress.precision != precision {
        let found = progress.precision;
        return Err(TrainError::CheckpointPrecision {
            path,
            found,
            expected: precision,
        });
    }
    if progress.version != VERSION || progress.fingerprint != fingerprint {
        return Err(TrainError::CheckpointMismatch { path });
    }
    let state = read_tensors(&content, progress, sizes);
    state
        .map(Some)
        .map_err(|reason| TrainError::CheckpointDamaged { path, reason })
}

fn read_progress(content: &[u8]) -> Result<Progress, String> {
    let (_, metadata) = SafeTensors::read_metadata(content).map_err(|error| error.to_string())?;
    let entries = metadata.metadata().as_ref().ok_or("it has no metadata")?;
    let progress = entries
        .get(PROGRESS)
        .ok_or("it does not say how far training came")?;
    serde_json::from_str(progress).map_err(|error| error.to_string())
}

fn read_tensors(content: &[u8], progress: Progress, sizes: &Sizes) -> Result<State, String> {
    let file = SafeTensors::deserialize(content).map_err(|error| error.to_string())?;
    let read = |group: &str, sizes: &[usize]| -> Result<Vec<Vec<f32>>, String> {
        let tensor = |(i, size): (usize, &usize)| {
            let name = format!("{group}.{i:04}");
            let view = file.tensor(&name).map_err(|error| error.to_string())?;
            if view.dtype() != Dtype::F32 || view.shape() != [*size] {
                return Err(format!("`{name}` is {:?} {:?}", view.dtype(), view.shape()));
            }
            let (words, _) = view.data().as_chunks::<4>();
            Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
        };
        sizes.iter().enumerate().map(tensor).collect()
    };
    let optional = |group: &str| match file.tensor(&format!("{group}.0000")) {
        Ok(_) => read(group, &sizes.weights),
        Err(_) => Ok(Vec::new()),
    };
    Ok(State {
        weights: read("weights", &sizes.weights)?,
        optimizer: AdamW {
            first: read("first", &sizes.moments)?,
            second: read("second", &sizes.moments)?,
            updates: progress.updates,
        },
        best: optional("best")?,
        average: optional("average")?,
        progress,
    })
}

fn groups(state: &State) -> [(&'static str, &[Vec<f32>]); 5] {
    [
        ("weights", &state.weights),
        ("first", &state.optimizer.first),
        ("second", &state.optimizer.second),
        ("best", &state.best),
        ("average", &state.average),
    ]
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    /// The second of two tensors is frozen.
    fn sizes(first: usize) -> Sizes {
        Sizes {
            weights: vec![first, 1],
            moments: vec![first, 0],
        }
    }

    fn state() -> State {
        let tensor = |start: f32| vec![start, 0.1, f32::MIN_POSITIVE];
        let tensors = |start: f32| vec![tensor(start), vec![-0.0]];
        let moments = |start: f32| vec![tensor(start), Vec::new()];
        State {
            progress: Progress {
                version: VERSION,
                fingerprint: "abc".to_owned(),
                precision: Precision::F32,
                step: 7,
                updates: 5,
                pending_loss: 0.1f64.to_bits(),
                best: Some(Best {
                    step: 3,
                    loss: 0.1 + 0.2,
                    agreement: Some(1.0 / 3.0),
                }),
                ..Progress::default()
            },
            weights: tensors(1.0),
            optimizer: AdamW {
                first: moments(2.0),
                second: moments(3.0),
                updates: 5,
            },
            best: Vec::new(),
            average: tensors(4.0),
        }
    }

    #[test]
    fn a_state_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            load(folder.path(), "abc", Precision::F32, &sizes(3)).unwrap(),
            None
        );
        save(folder.path(), &mut state()).unwrap();
        assert_eq!(
            load(folder.path(), "abc", Precision::F32, &sizes(3)).unwrap(),
            Some(state())
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "something was left beside"
        );
    }

    #[test]
    fn files_of_other_runs_and_damaged_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &mut state()).unwrap();
        assert!(matches!(
            load(folder.path(), "abd", Precision::F32, &sizes(3)),
            Err(TrainError::CheckpointMismatch { .. })
        ));
        assert!(matches!(
            load(folder.path(), "abd", Precision::Bf16, &sizes(3)),
            Err(TrainError::CheckpointPrecision {
                found: Precision::F32,
                ..
            })
        ));
        assert!(matches!(
            load(folder.path(), "abc", Precision::F32, &sizes(2)),
            Err(TrainError::CheckpointDamaged { .. })
        ));
        let whole = std::fs::read(file(folder.path())).unwrap();
        for length in [0, 4, 9, whole.len() / 2, whole.len() - 1] {
            std::fs::write(file(folder.path()), &whole[..length]).unwrap();
            let result = load(folder.path(), "abc", Precision::F32, &sizes(3));
            assert!(
                matches!(result, Err(TrainError::CheckpointDamaged { .. })),
                "{length} bytes"
            );
        }
    }
}
