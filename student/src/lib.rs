//! Limbeck's `student` crate.
