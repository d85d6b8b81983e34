//! What each check decides, as tables.
