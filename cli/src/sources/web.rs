//! Downloads over HTTPS.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect;

use super::FetchReporter;
use super::digest::{Hashed, HashedFile, MAX_BYTES};
use super::error::SourceError;

const MAX_REDIRECTS: usize = 10;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two pieces of an answer; a whole download may take as long as it takes.
const READ_TIMEOUT: Duration = Duration::from_mins(2);

/// Streams `url` into a temporary file of `folder`.
pub(super) async fn download(
    url: &str,
    plain_http: bool,
    folder: &Path,
    reporter: &dyn FetchReporter,
) -> Result<Hashed, SourceError> {
    let broken = |source| SourceError::Web {
        name: url.to_owned(),
        source,
    };
    let client = reqwest::Client::builder()
        .https_only(!plain_http)
        .redirect(redirect::Policy::limited(MAX_REDIRECTS))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        // A file is kept and digested as it is, not as it is sent.
        .gzip(false)
        .user_agent(concat!("limbeck/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(broken)?;
    let mut response = client.get(url).send().await.map_err(broken)?;
    if !response.status().is_success() {
        return Err(SourceError::Status {
            name: url.to_owned(),
            status: response.status(),
        });
    }
    let announced = response.content_length();
    reporter.started(url, announced);
    let mut file = HashedFile::create(folder)?;
    while let Some(piece) = response.chunk().await.map_err(broken)? {
        let path = file.path();
        file.write_all(&piece)
            .map_err(SourceError::file("write", path))?;
        check_size(url, file.bytes(), announced, false)?;
        reporter.advanced(piece.len() as u64);
    }
    check_size(url, file.bytes(), announced, true)?;
    file.finish()
}

fn check_size(
    url: &str,
    found: u64,
    announced: Option<u64>,
    ended: bool,
) -> Result<(), SourceError> {
    let error = |expected| {
        Err(SourceError::Size {
            name: url.to_owned(),
            found,
            expected,
        })
    };
    if found > MAX_BYTES {
        return error(format!("at most {MAX_BYTES}"));
    }
    match announced {
        Some(bytes) if ended && found != bytes => error(bytes.to_string()),
        _ if ended && found == 0 => error("more".to_owned()),
        _ => Ok(()),
    }
}
