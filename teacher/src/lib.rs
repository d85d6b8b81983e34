//! Limbeck's `teacher` crate.
