//! Ctrl-C: the first finishes what is in flight and saves; the second stops at once.

use tokio_util::sync::CancellationToken;

use crate::exit_status::ExitStatus;
use crate::printer::Printer;

/// A token that the first Ctrl-C (or termination signal) cancels. The second ends the process.
pub fn on_ctrl_c(printer: &Printer) -> CancellationToken {
    let cancel = CancellationToken::new();
    let (token, printer) = (cancel.clone(), printer.clone());
    tokio::spawn(async move {
        asked_to_stop().await;
        token.cancel();
        printer.status(
            "stopping: what is in flight is finished and kept; press Ctrl-C again to stop at once",
        );
        asked_to_stop().await;
        std::process::exit(ExitStatus::Interrupted.code().into());
    });
    cancel
}

#[cfg(unix)]
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return ctrl_c().await;
    };
    tokio::select! {
        () = ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() {
    ctrl_c().await;
}

/// Where signals cannot be heard at all, nothing ever asks to stop.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
