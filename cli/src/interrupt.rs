//! Ctrl-C: the first finishes what is in flight and saves; the second stops at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// How long a terminal may take to show that the first signal was heard.
const PATIENCE: Duration = Duration::from_millis(500);

/// A token that the first Ctrl-C (or termination signal) cancels. The second ends the process.
///
/// Must be called inside the runtime. Where signals cannot be heard, nothing ever cancels the token.
pub fn on_ctrl_c(printer: &Printer) -> CancellationToken {
    let cancel = CancellationToken::new();
    // Listened to from here on and by the same ear: what comes before or between the two waits is kept for the next.
    let Ok(mut signals) = Signals::listen() else {
        return cancel;
    };
    let (token, printer) = (cancel.clone(), printer.clone());
    tokio::spawn(async move {
        signals.next().await;
        // Said before the work ends and the process with it, but a terminal that takes nothing more holds up neither
        // the work's end nor the second signal.
        let said = tokio::task::spawn_blocking(move || {
            printer.status(
                "stopping: what is in flight is finished and kept; press Ctrl-C again to stop at once",
            );
        });
        tokio::select! {
            _ = tokio::time::timeout(PATIENCE, said) => token.cancel(),
            () = signals.next() => std::process::exit(ExitStatus::Interrupted.code().into()),
        }
        signals.next().await;
        std::process::exit(ExitStatus::Interrupted.code().into());
    });
    cancel
}

/// The signals that ask to stop.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next of them. Dropping the future loses none.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that ask to stop.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// Waits for the next of them. Dropping the future loses none.
    async fn next(&mut self) {
        self.0.recv().await;
    }
}
