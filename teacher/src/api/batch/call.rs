//! One call to the part of a service that handles batches, and the same again while it fails in a way that may pass.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::AskError;
use crate::api::ApiTeacher;
use crate::api::client::{MOST_BYTES, MOST_BYTES_OF_A_FAILURE, in_words, kind, slow, too_large};
use crate::api::endpoint::Endpoint;
use crate::api::question::LONGEST_WAIT;
use crate::wire::{BatchCalls, Failure, FailureKind, WireRequest};

/// What stands in the place of a key.
const HIDDEN: &str = "[hidden]";

/// The service of one teacher.
#[derive(Clone, Copy)]
pub(super) struct Service<'a> {
    pub(super) teacher: &'a ApiTeacher,
    pub(super) endpoint: &'a Arc<Endpoint>,
}

/// A call that came to nothing.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// The service may have done what it was asked nevertheless.
    pub(super) perhaps_done: bool,
}

impl<'a> Service<'a> {
    /// A batch goes to the first address of a teacher.
    pub(super) fn of(teacher: &'a ApiTeacher) -> Option<Self> {
        let endpoint = teacher.endpoints.all().first()?;
        Some(Self { teacher, endpoint })
    }

    pub(super) fn calls(&self) -> BatchCalls<'static> {
        BatchCalls::new(self.teacher.options.preset)
    }

    /// Host and path, as attempts and receipts tell them.
    pub(super) fn address(&self) -> String {
        format!("{}{}", self.endpoint.name, self.calls().batches())
    }

    pub(super) fn key_alias(&self) -> Option<String> {
        let key = self.endpoint.key.as_ref();
        key.map(|key| key.alias().to_owned())
    }

    /// Makes a call that does no harm if it is made twice; makes it again while that can help.
    pub(super) async fn call(
        &self,
        request: &WireRequest,
        cancel: &CancellationToken,
    ) -> Result<Value, AskError> {
        let mut failures = 0;
        loop {
            let failed = match self.once(request).await {
                Ok(value) => return Ok(value),
                Err(failed) => failed,
            };
            failures += 1;
            self.wait(failed.failure, failures, cancel).await?;
        }
    }

    /// Makes a call once.
    pub(super) async fn once(&self, request: &WireRequest) -> Result<Value, Failed> {
        let response = self.open(request).await?;
        // Whatever it says, it has done it.
        let done = |failure| Failed {
            failure: self.tidy(failure),
            perhaps_done: true,
        };
        let body = self.read(response, MOST_BYTES).await.map_err(done)?;
        let body = self.without_key(body);
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("the response is not JSON ({error})");
            done(Failure::transport(FailureKind::Malformed, &message))
        })
    }

    /// Waits after the `failures`-th failure in a row, or says that it is not worth waiting.
    pub(super) async fn wait(
        &self,
        failure: Failure,
        failures: u32,
        cancel: &CancellationToken,
    ) -> Result<(), AskError> {
        let retry = &self.teacher.options.retry;
        let asked = failure.retry_after;
        let too_long = asked.is_some_and(|wait| wait > LONGEST_WAIT);
        if !failure.worth_retrying || too_long || !retry.goes_on(failures, 0) {
            return Err(self.give_up(failure, failures));
        }
        let wait = asked.unwrap_or_else(|| retry.wait(failures, 0));
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(AskError::Cancelled),
            () = tokio::time::sleep(wait) => Ok(()),
        }
    }

    /// The failure as an error of the teacher's.
    pub(super) fn give_up(&self, failure: Failure, attempts: u32) -> AskError {
        AskError::Service {
            endpoint: self.endpoint.name.clone(),
            attempts: attempts as usize,
            // A batch has one address, and everything else would be led away from it as well.
            fatal: failure.kind.is_fatal() || failure.kind == FailureKind::Redirected,
            failure: Box::new(failure),
        }
    }

    /// Sends `request`; the response has a good status, and its body is still to be read.
    pub(super) async fn open(&self, request: &WireRequest) -> Result<Response, Failed> {
        let timeouts = &self.teacher.options.timeouts;
        let mut builder = self
            .endpoint
            .client
            .request(request.method.clone(), self.endpoint.address.url(request))
            .headers(request.headers.clone())
            .body(request.body.clone());
        if let Some((name, value)) = self.endpoint.key_header.clone() {
            builder = builder.header(name, value);
        }
        // A file of many megabytes takes its time to go out.
        let patience = if request.body.is_empty() {
            timeouts.first_byte
        } else {
            timeouts.total
        };
        let response = match timeout(patience, builder.send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                return Err(Failed {
                    failure: Failure::transport(kind(&error), &in_words(&error)),
                    perhaps_done: !error.is_connect(),
                });
            }
            Err(_) => {
                let message = format!("no response within {} s", patience.as_secs_f64());
                return Err(Failed {
                    failure: Failure::transport(FailureKind::Timeout, &message),
                    perhaps_done: true,
                });
            }
        };
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.read(response, MOST_BYTES_OF_A_FAILURE).await;
        let preset = self.teacher.options.preset;
        let body = body.unwrap_or_default();
        let failure = Failure::read(preset, status, &headers, &body, Timestamp::now());
        Err(Failed {
            failure: self.tidy(failure),
            perhaps_done: status >= 500 || matches!(status, 408 | 409 | 499),
        })
    }

    /// The next piece of a body; `None` at its end.
    pub(super) async fn piece(&self, response: &mut Response) -> Result<Option<Vec<u8>>, Failure> {
        let idle: Duration = self.teacher.options.timeouts.idle;
        match timeout(idle, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(Vec::from)),
            Ok(Err(error)) => Err(Failure::transport(kind(&error), &in_words(&error))),
            Err(_) => Err(slow(&format!("nothing came for {} s", idle.as_secs_f64()))),
        }
    }

    async fn read(&self, mut response: Response, most: usize) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response).await? {
            body.extend_from_slice(&piece);
            if body.len() > most {
                return Err(too_large(most));
            }
        }
        Ok(body)
    }

    /// What is told of a batch is kept and shown, so a key that it repeats is cut out first.
    fn without_key(&self, body: Vec<u8>) -> Vec<u8> {
        let Some(key) = &self.endpoint.key else {
            return body;
        };
        let secret = key.secret().as_bytes();
        let repeats = !secret.is_empty() && body.windows(secret.len()).any(|piece| piece == secret);
        if repeats {
            let text = String::from_utf8_lossy(&body);
            return text.replace(key.secret(), HIDDEN).into_bytes();
        }
        body
    }

    fn tidy(&self, failure: Failure) -> Failure {
        match &self.endpoint.key {
            Some(key) => failure.without_secret(key.secret()),
            None => failure,
        }
    }
}
