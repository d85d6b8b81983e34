//! Which requests a service counts together.

use super::{ConductPolicy, Request};

impl Request {
    /// The host without the path.
    pub(super) fn host(&self) -> &str {
        self.endpoint.split('/').next().unwrap_or_default()
    }

    /// The key in words.
    pub(super) fn key(&self) -> String {
        match &self.key_alias {
            Some(alias) => format!("key `{alias}`"),
            None => "no key".to_owned(),
        }
    }

    /// The account that its key is declared to belong to.
    pub(super) fn account<'a>(&self, policy: &'a ConductPolicy) -> Option<&'a str> {
        let account = policy.accounts.get(self.key_alias.as_ref()?)?;
        Some(account)
    }
}
