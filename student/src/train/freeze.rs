//! Parts of a student that stay as they were initialised.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::parameters::{EMBEDDINGS, HEAD};
use super::{Shape, TrainError};

/// A part of a student, by the name that recipes have for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Part {
    /// `embeddings`: the table of the tokens; where it is tied, the head with it.
    Embeddings,
    /// `head`: the output head, where it is not tied.
    Head,
    /// `layers`: all transformer blocks.
    Layers,
    /// `layers.N`: one transformer block with its norms, counted from 0.
    Layer(usize),
}

/// A text that names no part.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no part of a student, expected `embeddings`, `head`, `layers` or one layer such as `layers.0`"
)]
pub struct UnknownPart(String);

impl Part {
    /// Whether it holds the parameter of this name.
    pub(super) fn holds(self, parameter: &str) -> bool {
        let layer = || {
            let (number, _) = parameter.strip_prefix("model.layers.")?.split_once('.')?;
            number.parse::<usize>().ok()
        };
        match self {
            Self::Embeddings => parameter == EMBEDDINGS,
            Self::Head => parameter == HEAD,
            Self::Layers => layer().is_some(),
            Self::Layer(number) => layer() == Some(number),
        }
    }

    /// Refuses parts that a student of `shape` does not have, and parts that leave nothing to train. Beside its parts a
    /// student has one more norm, which by itself is not worth a training.
    ///
    /// # Errors
    /// [`TrainError::Freeze`].
    pub fn check(parts: &[Self], shape: &Shape) -> Result<(), TrainError> {
        let wrong = |problem: String| Err(TrainError::Freeze { problem });
        for part in parts {
            match *part {
                Self::Layer(number) if number >= shape.layers => {
                    return wrong(format!(
                        "names `{part}`, and the last of {} is `layers.{}`",
                        shape.layers,
                        shape.layers.saturating_sub(1)
                    ));
                }
                Self::Head if shape.tied => {
                    return wrong(
                        "names `head`, which is the embedding table in a tied student: `embeddings` freezes both"
                            .to_owned(),
                    );
                }
                _ => {}
            }
        }
        let frozen = |part: Self| parts.contains(&part);
        let layers =
            (0..shape.layers).all(|number| frozen(Self::Layers) || frozen(Self::Layer(number)));
        if frozen(Self::Embeddings) && (shape.tied || frozen(Self::Head)) && layers {
            return wrong("leaves nothing to train".to_owned());
        }
        Ok(())
    }
}

impl FromStr for Part {
    type Err = UnknownPart;

    fn from_str(text: &str) -> Result<Self, UnknownPart> {
        match text {
            "embeddings" => Ok(Self::Embeddings),
            "head" => Ok(Self::Head),
            "layers" => Ok(Self::Layers),
            _ => {
                let number = text.strip_prefix("layers.").and_then(|n| n.parse().ok());
                let part = number.map(Self::Layer);
                // One spelling a layer: neither `+1` nor `01`.
                part.filter(|part| part.to_string() == text)
                    .ok_or_else(|| UnknownPart(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embeddings => formatter.write_str("embeddings"),
            Self::Head => formatter.write_str("head"),
            Self::Layers => formatter.write_str("layers"),
            Self::Layer(number) => write!(formatter, "layers.{number}"),
        }
    }
}

impl TryFrom<String> for Part {
    type Error = UnknownPart;

    fn try_from(text: String) -> Result<Self, UnknownPart> {
        text.parse()
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_are_those_of_recipes() {
        for name in ["embeddings", "head", "layers", "layers.0", "layers.17"] {
            let part: Part = name.parse().unwrap();
            assert_eq!(part.to_string(), name);
            let json = serde_json::to_string(&part).unwrap();
            assert_eq!(json, format!("\"{name}\""));
            assert_eq!(serde_json::from_str::<Part>(&json).unwrap(), part);
        }
        for name in [
            "",
            "layer.0",
            "layers.",
            "layers.-1",
            "layers.+1",
            "layers.01",
            "norm",
        ] {
            let error = name.parse::<Part>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}` is no part")), "{error}");
        }
    }

    #[test]
    fn what_is_not_there_and_what_leaves_nothing_is_refused() {
        let check = |names: &[&str], tied| {
            let parts: Vec<Part> = names.iter().map(|name| name.parse().unwrap()).collect();
            let shape = Shape {
                layers: 2,
                tied,
                ..Shape::default()
            };
            Part::check(&parts, &shape).map_err(|error| error.to_string())
        };
        for fine in [
            &[][..],
            &["embeddings"],
            &["layers"],
            &["embeddings", "layers.1"],
        ] {
            assert_eq!(check(fine, true), Ok(()));
        }
        assert_eq!(check(&["embeddings", "layers"], false), Ok(()));
        let refused = |names: &[&str], tied, part: &str| {
            let error = check(names, tied).unwrap_err();
            assert!(error.contains(part), "{error}");
        };
        refused(&["layers.2"], true, "the last of 2 is `layers.1`");
        refused(&["head"], true, "`embeddings` freezes both");
        refused(&["embeddings", "layers"], true, "leaves nothing to train");
        let all = ["layers.1", "embeddings", "head", "layers.0"];
        refused(&all, false, "leaves nothing to train");
    }
}
