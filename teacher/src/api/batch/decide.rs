//! What a person asks of a batch: to stop it, or to decide on one whose fate is unknown.

use limbeck_store::{AttemptStatus, Batch, BatchResults, Store, StoreError};
use tokio_util::sync::CancellationToken;

use super::call::Service;
use super::kept::try_at;
use crate::AskError;
use crate::api::ApiTeacher;
use crate::wire::RemoteBatch;

/// Requests that are handed to the store at once.
const GROUP: usize = 256;

/// Asks the service of `teacher` to stop `batch`. What was answered until then is collected by the next harvest.
///
/// Returns what the service says of it then.
///
/// # Errors
/// [`AskError`]; of kind `not-found` where the service has no such batch.
pub async fn cancel_batch(
    teacher: &ApiTeacher,
    batch: &Batch,
    cancel: &CancellationToken,
) -> Result<String, AskError> {
    let (service, id) = found(teacher, batch)?;
    let value = service.call(&service.calls().cancel(id), cancel).await?;
    state(service, &value)
}

/// Asks the service of `teacher` how `batch` stands; says it in the service's words.
///
/// # Errors
/// [`AskError`]; of kind `not-found` where the service has no such batch.
pub async fn poll_batch(
    teacher: &ApiTeacher,
    batch: &Batch,
    cancel: &CancellationToken,
) -> Result<String, AskError> {
    let (service, id) = found(teacher, batch)?;
    let value = service.call(&service.calls().poll(id), cancel).await?;
    state(service, &value)
}

/// Gives up what is open of `batch`: each of its requests is a failure of the kind `batch-forgotten`, counted at the
/// most that it may have cost, and is asked again on request only. Returns how many there were.
///
/// # Errors
/// [`StoreError`].
pub async fn forget_batch(store: &Store, batch: &Batch) -> Result<u64, StoreError> {
    let requests = store.batch_requests(batch.number).await?;
    let open: Vec<_> = requests
        .into_iter()
        .filter(|request| request.outcome.is_none())
        .collect();
    for requests in open.chunks(GROUP) {
        let failed = requests.iter().map(|request| {
            let status = AttemptStatus::Failed {
                kind: "batch-forgotten".to_owned(),
                message: "its batch was given up, though the service may have answered it"
                    .to_owned(),
            };
            // No most: no price is known.
            let most = Some(request.most_nano_usd).filter(|most| *most > 0);
            try_at(batch, request, status, None, most)
        });
        let results = BatchResults {
            failed: failed.collect(),
            ..BatchResults::default()
        };
        store.record_batch(batch.number, results).await?;
    }
    store.end_batch(batch.number, batch.odd_lines).await?;
    Ok(open.len() as u64)
}

/// The service, and its name for the batch.
fn found<'a>(
    teacher: &'a ApiTeacher,
    batch: &'a Batch,
) -> Result<(Service<'a>, &'a str), AskError> {
    let not_known = || AskError::Other {
        kind: "not-submitted".to_owned(),
        message: format!(
            "it is not known whether the service has the batch {}; a harvest looks for it",
            batch.number
        ),
        fatal: false,
    };
    let id = batch.remote_id.as_deref().ok_or_else(not_known)?;
    Ok((Service::of(teacher).ok_or_else(not_known)?, id))
}

fn state(service: Service<'_>, value: &serde_json::Value) -> Result<String, AskError> {
    let remote = RemoteBatch::read(service.teacher.options.preset, value);
    remote
        .map(|remote| remote.state)
        .map_err(|failure| service.give_up(failure, 1))
}
