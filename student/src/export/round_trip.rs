//! Weights as a GGUF file stores them, without the file.

use std::collections::BTreeMap;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use limbeck_model::{GgufFile, ModelConfig, ModelError, WeightSource, WeightTensor};

/// The trained weights, each rounded to how a file stores it and back.
///
/// A file that was written and read rightly holds exactly these: what it has in addition (row order, offsets, names)
/// is then proved by equal logits, apart from the loss that rounding costs.
pub(super) struct RoundTripped<'a> {
    weights: &'a dyn WeightSource,
    kinds: BTreeMap<String, GgmlDType>,
}

impl<'a> RoundTripped<'a> {
    /// `weights` as `file` stores those of `config`.
    pub(super) fn new(
        weights: &'a dyn WeightSource,
        file: &GgufFile,
        config: &ModelConfig,
    ) -> Self {
        let names = config.weight_names().into_iter();
        let kinds = names
            .filter_map(|(name, _)| {
                file.tensor(&name)
                    .map(|info| info.kind)
                    .map(|kind| (name, kind))
            })
            .collect();
        Self { weights, kinds }
    }
}

impl WeightSource for RoundTripped<'_> {
    fn load(&self, name: &str) -> Result<WeightTensor, ModelError> {
        let tensor = self.weights.load(name)?;
        match self.kinds.get(name) {
            None | Some(GgmlDType::F32) => Ok(tensor),
            Some(kind) => round_trip(tensor, *kind).map_err(|source| ModelError::Tensor {
                name: name.to_owned(),
                source,
            }),
        }
    }

    fn contains(&self, name: &str) -> bool {
        self.weights.contains(name)
    }
}

fn round_trip(tensor: WeightTensor, kind: GgmlDType) -> candle_core::Result<WeightTensor> {
    let WeightTensor { shape, data } = tensor;
    let tensor = Tensor::from_vec(data, shape.as_slice(), &Device::Cpu)?;
    let data = QTensor::quantize(&tensor, kind)?
        .dequantize(&Device::Cpu)?
        .flatten_all()?
        .to_vec1()?;
    Ok(WeightTensor { shape, data })
}
