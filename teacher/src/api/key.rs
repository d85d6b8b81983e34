//! A key that is never printed.

use std::fmt;

use http::HeaderValue;

use crate::wire::KeyHeader;

/// What stands in the place of a key wherever it would have been seen.
const HIDDEN: &str = "[key]";

/// The key to a service, with what the user calls it. Nothing prints it: neither `Debug` nor an error, and the header
/// that carries it is marked as sensitive, so that the HTTP client does not log it either.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    alias: String,
    secret: String,
}

/// A key that cannot stand in a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// There is nothing in it.
    #[error("the key `{alias}` is empty")]
    Empty {
        /// What the user calls it.
        alias: String,
    },
    /// It holds a line break, or something else that no header takes.
    #[error("the key `{alias}` holds characters that no header takes")]
    Characters {
        /// What the user calls it.
        alias: String,
    },
}

impl ApiKey {
    /// `alias`: what receipts and attempts call it, such as the variable it was read from. Whitespace around the key
    /// is left out.
    pub fn new(alias: impl Into<String>, secret: &str) -> Result<Self, KeyError> {
        let (alias, secret) = (alias.into(), secret.trim().to_owned());
        if secret.is_empty() {
            return Err(KeyError::Empty { alias });
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Characters { alias });
        }
        Ok(Self { alias, secret })
    }

    /// What the user calls it.
    pub fn alias(&self) -> &str {
        &self.alias
    }

    pub(super) fn header(&self, header: KeyHeader) -> Result<HeaderValue, KeyError> {
        let value = format!("{}{}", header.prefix(), self.secret);
        let mut value = HeaderValue::try_from(value).map_err(|_| KeyError::Characters {
            alias: self.alias.clone(),
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&self.secret)
    }

    /// `text` without the key.
    pub(super) fn hide(&self, text: String) -> String {
        if self.is_in(&text) {
            text.replace(&self.secret, HIDDEN)
        } else {
            text
        }
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey")
            .field("alias", &self.alias)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_prints_a_key() {
        let key = ApiKey::new("OPENAI_API_KEY", " sk-secret\n").unwrap();
        let header = key.header(KeyHeader::Authorization).unwrap();
        assert_eq!(header.as_bytes(), b"Bearer sk-secret");
        let seen = format!(
            "{key:?} {header:?} {}",
            key.hide("a sk-secret b".to_owned())
        );
        assert!(!seen.contains("sk-secret"), "{seen}");
        assert!(seen.contains("OPENAI_API_KEY"));
    }

    #[test]
    fn what_no_header_takes_is_an_error_without_the_key() {
        let errors = ["", "  ", "two words", "bréf", "a\r\nb"].map(|bad| ApiKey::new("K", bad));
        for error in errors {
            let text = format!("{:?}", error.unwrap_err());
            assert!(text.contains('K') && !text.contains("words"), "{text}");
        }
    }
}
