//! What the process tells its caller. The codes are a contract; `audit` alone has its own.

use std::process::ExitCode;

/// How a command ended, when it ended in a way that the caller may branch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Everything asked for was done.
    Success,
    /// The work was done, and a gate or a check failed.
    CheckFailed,
    /// Wrong use, or an error that kept the work from being done.
    Error,
    /// Requests are with a service in batches, or were not worked on there: the same command goes on later. The number
    /// is that of `sysexits.h` for a temporary failure.
    Unfinished,
    /// The audit looked; the bits of the areas in which it denies something.
    Audited(u8),
    /// The audit could not look.
    NotEvaluated,
    /// Interrupted by the user; what was in flight has been saved.
    Interrupted,
}

impl ExitStatus {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::CheckFailed => 1,
            Self::Error => 2,
            Self::Unfinished => 75,
            Self::Audited(bits) => bits,
            Self::NotEvaluated => 64,
            Self::Interrupted => 130,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones() {
        let codes = [
            ExitStatus::Success,
            ExitStatus::CheckFailed,
            ExitStatus::Error,
            ExitStatus::Unfinished,
            ExitStatus::Interrupted,
            ExitStatus::Audited(48),
            ExitStatus::NotEvaluated,
        ]
        .map(ExitStatus::code);
        assert_eq!(codes, [0, 1, 2, 75, 130, 48, 64]);
    }
}
