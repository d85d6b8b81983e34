//! Which way of showing progress is meant.

/// A value of `--progress`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressChoice {
    /// Bars on a terminal, plain lines otherwise.
    #[default]
    Auto,
    /// Bars with rate and time left; plain lines where there is no terminal to draw them on.
    Bars,
    /// A line when a stage starts, at most one every ten seconds, and one when it ends.
    Plain,
    /// JSON lines on standard error.
    Json,
    /// Nothing.
    None,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgressMode {
    /// Bars.
    Bars,
    /// Lines of text.
    Plain,
    /// Lines of JSON.
    Json,
    /// Nothing.
    None,
}

impl ProgressMode {
    /// `terminal` says whether standard error is one. `quiet` silences what was not asked for by name.
    pub fn choose(choice: ProgressChoice, terminal: bool, quiet: bool) -> Self {
        match choice {
            ProgressChoice::Auto if quiet => Self::None,
            ProgressChoice::Auto | ProgressChoice::Bars if terminal => Self::Bars,
            ProgressChoice::Auto | ProgressChoice::Bars | ProgressChoice::Plain => Self::Plain,
            ProgressChoice::Json => Self::Json,
            ProgressChoice::None => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_mode_beats_quiet_and_bars_need_a_terminal() {
        use ProgressChoice as Choice;
        use ProgressMode as Mode;
        for (choice, terminal, quiet, mode) in [
            (Choice::Auto, true, false, Mode::Bars),
            (Choice::Auto, false, false, Mode::Plain),
            (Choice::Auto, true, true, Mode::None),
            (Choice::Bars, true, true, Mode::Bars),
            (Choice::Bars, false, false, Mode::Plain),
            (Choice::Plain, true, true, Mode::Plain),
            (Choice::Json, true, true, Mode::Json),
            (Choice::None, true, false, Mode::None),
        ] {
            assert_eq!(
                ProgressMode::choose(choice, terminal, quiet),
                mode,
                "{choice:?} terminal={terminal} quiet={quiet}"
            );
        }
    }
}
