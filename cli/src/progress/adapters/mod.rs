//! Joins the reporter traits of the libraries to the bars.

mod fetch;
mod harvest;
mod train;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use fetch::FetchBar;
pub use harvest::HarvestBar;
pub use train::TrainBar;

use super::{Progress, StageBar};

/// A bar that begins when its library says so, on whatever thread.
#[derive(Debug)]
struct Late {
    progress: Progress,
    bar: Mutex<Option<StageBar>>,
}

impl Late {
    fn new(progress: &Progress) -> Self {
        Self {
            progress: progress.clone(),
            bar: Mutex::new(None),
        }
    }

    fn begin(&self, name: &str, total: Option<u64>, unit: &'static str) -> StageBar {
        let bar = self.progress.stage(name, total, unit);
        *self.slot() = Some(bar.clone());
        bar
    }

    fn with(&self, act: impl FnOnce(&StageBar)) {
        if let Some(bar) = self.slot().as_ref() {
            act(bar);
        }
    }

    /// The bar, for its end: without `finish` it says that the stage was stopped.
    fn take(&self) -> Option<StageBar> {
        self.slot().take()
    }

    fn slot(&self) -> MutexGuard<'_, Option<StageBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
fn silent() -> Progress {
    Progress::new(
        super::ProgressMode::None,
        &crate::printer::Printer::new(true),
    )
}
