//! Limbeck's `store` crate.
