//! One request and its response, bytes only: what is sent, what comes back, and how long all of it may take.

use std::io::ErrorKind;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use reqwest::{Client, Response, redirect};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout};
use url::Url;

use super::options::Timeouts;
use crate::wire::{
    AnswerStream, Failure, FailureKind, Preset, RateSignals, WireAnswer, WireRequest,
};

/// No answer is larger; what is, would fill the memory.
pub(super) const MOST_BYTES: usize = 32 << 20;
/// A response that tells of a failure says all it has to in so many bytes.
pub(super) const MOST_BYTES_OF_A_FAILURE: usize = 256 << 10;

/// The headers, the digest and the reading of one response.
pub(super) struct Exchange {
    /// `None` where no response came.
    pub(super) status: Option<u16>,
    pub(super) headers: HeaderMap,
    /// The hex SHA-256 of the body as far as it was read.
    pub(super) sha256: String,
    pub(super) result: Result<WireAnswer, Failure>,
    /// Whether the request may have reached the service.
    pub(super) may_have_arrived: bool,
}

/// A client for `connections` requests at a time. No redirect is followed: it could take the key to another host.
pub(super) fn client(
    timeouts: &Timeouts,
    connections: usize,
    on_this_machine: bool,
) -> reqwest::Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("limbeck/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(timeouts.connect)
        .pool_max_idle_per_host(connections)
        .tcp_keepalive(Duration::from_secs(30))
        .tcp_nodelay(true)
        // One connection for each request in flight: a stalled one holds up no other.
        .http1_only();
    if on_this_machine {
        builder = builder.no_proxy();
    }
    builder.build()
}

/// Where a request goes, and with which key.
pub(super) struct Target<'a> {
    pub(super) url: Url,
    pub(super) key: Option<(HeaderName, HeaderValue)>,
    pub(super) preset: &'a Preset,
}

/// Sends `request` and reads what comes back to its end.
pub(super) async fn exchange(
    client: &Client,
    target: Target<'_>,
    request: &WireRequest,
    timeouts: &Timeouts,
) -> Exchange {
    let mut builder = client
        .request(request.method.clone(), target.url)
        .headers(request.headers.clone())
        .body(request.body.clone());
    if let Some((name, value)) = target.key {
        builder = builder.header(name, value);
    }
    let until = Instant::now() + timeouts.total;
    let first_byte = timeouts.first_byte.min(timeouts.total);
    let response = match timeout(first_byte, builder.send()).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => return Exchange::broken(&error),
        Err(_) => {
            let seconds = first_byte.as_secs_f64();
            let message = format!("no response within {seconds} s");
            return Exchange::without_response(FailureKind::Timeout, &message, true);
        }
    };
    read(response, target.preset, timeouts.idle, until).await
}

async fn read(mut response: Response, preset: &Preset, idle: Duration, until: Instant) -> Exchange {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let good = response.status().is_success();
    let most = if good {
        MOST_BYTES
    } else {
        MOST_BYTES_OF_A_FAILURE
    };
    let mut stream = AnswerStream::new(preset, &headers);
    let (mut failure_body, mut digest, mut bytes) = (Vec::new(), Sha256::new(), 0);
    let broken = loop {
        let patience = idle.min(until.saturating_duration_since(Instant::now()));
        let piece = match timeout(patience, response.chunk()).await {
            Err(_) if patience < idle => break Some(slow("the response did not end in time")),
            Err(_) => {
                let message = format!("nothing came for {} s", idle.as_secs_f64());
                break Some(slow(&message));
            }
            Ok(Err(error)) => break Some(Failure::transport(kind(&error), &in_words(&error))),
            Ok(Ok(None)) => break None,
            Ok(Ok(Some(piece))) => piece,
        };
        bytes += piece.len();
        if bytes > most {
            break good.then(|| too_large(most));
        }
        digest.update(&piece);
        if good {
            stream.push(&piece);
            if stream.is_done() {
                // What follows is at most an end mark. Read to the end, the connection can be used again.
                let rest = Duration::from_millis(100).min(patience);
                let _ = timeout(rest, response.chunk()).await;
                break None;
            }
        } else {
            failure_body.extend_from_slice(&piece);
        }
    };
    let result = match broken {
        // What came of a failure before it broke off is worth more than that it broke off.
        Some(failure) if good => Err(failure),
        // An error may come with a good status; what its headers ask for holds all the same.
        _ if good => stream.finish().map_err(|failure| Failure {
            retry_after: RateSignals::read(preset, &headers, Timestamp::now())
                .retry_after
                .or(failure.retry_after),
            ..failure
        }),
        _ => Err(Failure::read(
            preset,
            status,
            &headers,
            &failure_body,
            Timestamp::now(),
        )),
    };
    Exchange {
        status: Some(status),
        headers,
        sha256: hex::encode(digest.finalize()),
        result,
        may_have_arrived: true,
    }
}

impl Exchange {
    fn without_response(kind: FailureKind, message: &str, may_have_arrived: bool) -> Self {
        Self {
            status: None,
            headers: HeaderMap::new(),
            sha256: hex::encode(Sha256::digest([])),
            result: Err(Failure::transport(kind, message)),
            may_have_arrived,
        }
    }

    fn broken(error: &reqwest::Error) -> Self {
        Self::without_response(kind(error), &in_words(error), !error.is_connect())
    }
}

pub(super) fn kind(error: &reqwest::Error) -> FailureKind {
    if error.is_timeout() {
        FailureKind::Timeout
    } else if is_garbled(error) {
        FailureKind::Malformed
    } else {
        FailureKind::Connection
    }
}

/// Whether the bytes came and could not be unpacked, rather than stopped coming.
fn is_garbled(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io
            .is_some_and(|io| matches!(io.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput))
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The error and its causes without the address, which is told apart.
pub(super) fn in_words(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if words.last() != Some(&text) {
            words.push(text);
        }
        cause = error.source();
    }
    if words.is_empty() {
        "the connection failed".to_owned()
    } else {
        words.join(": ")
    }
}

pub(super) fn slow(message: &str) -> Failure {
    Failure::transport(FailureKind::Timeout, message)
}

pub(super) fn too_large(most: usize) -> Failure {
    let message = format!("the response is larger than {} MiB", most >> 20);
    Failure {
        worth_retrying: false,
        ..Failure::transport(FailureKind::Malformed, &message)
    }
}
