//! What a teacher allows, as a recipe declares it.

use serde::{Deserialize, Serialize};

use crate::error::LimitError;

/// The limits that one teacher sets. All hold from the first second on; `None` is no limit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Questions that may be worked on at the same time.
    pub concurrent: usize,
    /// Requests that may be begun in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens that may be read in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens that may be written in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<u64>,
    /// Tokens that may be read and written in any 60 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests that may be begun in any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_day: Option<u64>,
    /// Tokens that may be read and written in any 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_day: Option<u64>,
    /// US dollars that may be spent on this teacher in one work folder, over all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spend_usd: Option<f64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::concurrent(8)
    }
}

impl Limits {
    /// Any number of questions, `concurrent` of them at a time.
    pub fn concurrent(concurrent: usize) -> Self {
        Self {
            concurrent,
            requests_per_minute: None,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
            tokens_per_minute: None,
            requests_per_day: None,
            tokens_per_day: None,
            spend_usd: None,
        }
    }

    /// Fails if one of them would let nothing through.
    pub fn check(&self) -> Result<(), LimitError> {
        let counts = [
            ("concurrent", Some(self.concurrent as u64)),
            ("requests_per_minute", self.requests_per_minute),
            ("input_tokens_per_minute", self.input_tokens_per_minute),
            ("output_tokens_per_minute", self.output_tokens_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("requests_per_day", self.requests_per_day),
            ("tokens_per_day", self.tokens_per_day),
        ];
        let zero = counts.iter().find(|(_, count)| *count == Some(0));
        if let Some(&(field, _)) = zero {
            return Err(LimitError { field });
        }
        match self.spend_usd {
            Some(usd) if !(usd.is_finite() && usd > 0.0) => Err(LimitError { field: "spend_usd" }),
            _ => Ok(()),
        }
    }

    /// As a receipt tells them: `concurrent` and the rate always, `null` where it is not set, the others where they
    /// are.
    pub(crate) fn for_receipts(&self) -> serde_json::Value {
        let mut told = serde_json::json!({
            "concurrent": self.concurrent,
            "requests_per_minute": self.requests_per_minute,
        });
        let others = [
            ("input_tokens_per_minute", self.input_tokens_per_minute),
            ("output_tokens_per_minute", self.output_tokens_per_minute),
            ("tokens_per_minute", self.tokens_per_minute),
            ("requests_per_day", self.requests_per_day),
            ("tokens_per_day", self.tokens_per_day),
        ];
        for (name, limit) in others {
            if let Some(limit) = limit {
                told[name] = limit.into();
            }
        }
        if let Some(usd) = self.spend_usd {
            told["spend_usd"] = usd.into();
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_an_error_that_names_it() {
        assert_eq!(Limits::default().check(), Ok(()));
        let field = |limits: Limits| limits.check().unwrap_err().field;
        assert_eq!(field(Limits::concurrent(0)), "concurrent");
        let none = Limits {
            tokens_per_day: Some(0),
            ..Limits::default()
        };
        assert_eq!(field(none), "tokens_per_day");
        for usd in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let none = Limits {
                spend_usd: Some(usd),
                ..Limits::default()
            };
            assert_eq!(field(none), "spend_usd");
        }
    }

    #[test]
    fn receipts_tell_what_is_set() {
        let limits = Limits {
            tokens_per_minute: Some(60_000),
            spend_usd: Some(2.5),
            ..Limits::concurrent(4)
        };
        assert_eq!(
            limits.for_receipts().to_string(),
            r#"{"concurrent":4,"requests_per_minute":null,"tokens_per_minute":60000,"spend_usd":2.5}"#
        );
    }
}
