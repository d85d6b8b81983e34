//! Where a service is.

use url::Url;

use super::{Preset, WireRequest};

/// Where one service is reached: everything of its address before what a request adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    base: Url,
}

/// An address at which no service can be reached safely.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The service has no address of its own, and none was given.
    #[error("the provider `{provider}` needs a `base_url`")]
    Missing {
        /// The preset's name.
        provider: String,
    },
    /// It cannot be read.
    #[error("the `base_url` `{base_url}` is no address: {what}")]
    Invalid {
        /// As it was given, without a user or password.
        base_url: String,
        /// What is wrong with it.
        what: String,
    },
    /// It holds what looks like a key, which would end up in logs and receipts.
    #[error("the `base_url` holds a secret (`{what}`)")]
    Secret {
        /// Which part of it.
        what: String,
    },
}

impl EndpointError {
    /// What a person can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "write the address of the server up to `/v1`; for Azure https://RESOURCE.openai.azure.com/openai/v1"
            }
            Self::Invalid { .. } => "write it in full, such as http://127.0.0.1:8080/v1",
            Self::Secret { .. } => {
                "take it out, and name the variable that holds the key with `api_key_env`"
            }
        }
    }
}

/// Names of query parameters that carry keys.
const SECRET_PARAMETERS: [&str; 6] = [
    "key",
    "api_key",
    "apikey",
    "api-key",
    "token",
    "access_token",
];

impl Endpoint {
    /// The address in `base_url`, or the preset's own.
    pub fn new(preset: &Preset, base_url: Option<&str>) -> Result<Self, EndpointError> {
        let base_url =
            base_url
                .or(preset.base_url.as_deref())
                .ok_or_else(|| EndpointError::Missing {
                    provider: preset.name.clone(),
                })?;
        let invalid = |what: &str| EndpointError::Invalid {
            // What stands before an `@` may be a password.
            base_url: base_url.rsplit('@').next().unwrap_or_default().to_owned(),
            what: what.to_owned(),
        };
        let mut base = Url::parse(base_url).map_err(|error| invalid(&error.to_string()))?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(EndpointError::Secret {
                what: "a user or a password".to_owned(),
            });
        }
        if let Some((name, _)) = base
            .query_pairs()
            .find(|(name, _)| SECRET_PARAMETERS.contains(&name.to_lowercase().as_str()))
        {
            return Err(EndpointError::Secret {
                what: name.into_owned(),
            });
        }
        if !matches!(base.scheme(), "http" | "https") {
            return Err(invalid("it does not begin with https:// or http://"));
        }
        if base.host_str().is_none_or(str::is_empty) {
            return Err(invalid("it names no host"));
        }
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        base.set_path(&path);
        Ok(Self { base })
    }

    /// The whole address of `request`. Parameters of the base (such as Azure's `api-version`) stay.
    pub fn url(&self, request: &WireRequest) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{}", self.base.path().trim_end_matches('/'), request.path);
        url.set_path(&path);
        for (name, value) in &request.query {
            url.query_pairs_mut().append_pair(name, value);
        }
        url
    }

    /// What stands before a request's own path.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The host and the port, as receipts and reports show them.
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use limbeck_store::{Message, Prompt, PromptBody, SamplingParameters};

    use super::*;
    use crate::Ask;
    use crate::wire::preset;

    fn url(provider: &str, base_url: Option<&str>, stream: bool) -> String {
        let body = PromptBody::Chat {
            messages: vec![Message::new("user", "a")],
        };
        let ask = Ask {
            prompt: Prompt::new(body, "a", "main", "test", 1),
            sample: 0,
            parameters: SamplingParameters::choose(vec!["a".to_owned()]),
        };
        let preset = preset(provider).unwrap();
        let request = WireRequest::build(preset, "m", &ask, stream).unwrap();
        Endpoint::new(preset, base_url)
            .unwrap()
            .url(&request)
            .to_string()
    }

    #[test]
    fn a_request_goes_below_the_base_and_keeps_its_parameters() {
        for (provider, base_url, expected) in [
            ("openai", None, "https://api.openai.com/v1/chat/completions"),
            (
                "deepseek",
                None,
                "https://api.deepseek.com/chat/completions",
            ),
            ("anthropic", None, "https://api.anthropic.com/v1/messages"),
            (
                "openai",
                Some("http://[::1]:9/v1/"),
                "http://[::1]:9/v1/chat/completions",
            ),
            ("openai", Some("http://h/#x"), "http://h/chat/completions"),
            (
                "azure",
                Some("https://r.openai.azure.com/openai/deployments/d?api-version=2024-10-21"),
                "https://r.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
            ),
        ] {
            assert_eq!(url(provider, base_url, false), expected);
        }
        let gemini = url("gemini", Some("https://h/v1beta?a=b"), true);
        assert_eq!(
            gemini,
            "https://h/v1beta/models/m:streamGenerateContent?a=b&alt=sse"
        );
    }

    #[test]
    fn every_service_with_one_address_has_it() {
        for name in crate::wire::preset_names() {
            let found = Endpoint::new(preset(name).unwrap(), None);
            assert_eq!(
                found.is_ok(),
                !["azure", "compatible"].contains(&name),
                "{name}"
            );
        }
        let endpoint = Endpoint::new(preset("llamacpp").unwrap(), None).unwrap();
        assert_eq!(endpoint.host(), "127.0.0.1:8080");
    }

    #[test]
    fn secrets_and_what_is_no_address_are_errors_that_tell_no_secret() {
        for bad in [
            "https://user:hunter2@h/v1",
            "https://hunter2@h/v1",
            "https://h/v1?key=hunter2",
            "https://h/v1?API_KEY=hunter2",
            "ftp://h/v1",
            "localhost:8080/v1",
            "http://user:hunter2@",
            "/v1",
            "",
        ] {
            let error = Endpoint::new(preset("openai").unwrap(), Some(bad)).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
