//! Downloads from the Hugging Face hub, through its own crate.

use std::fs::File;
use std::io;
use std::path::Path;

use hf_hub::api::Progress;
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache as HubCache, Repo, RepoType};
use tokio::sync::mpsc;

use super::cache::blocking;
use super::digest::{Hashed, HashedFile, PARTIAL_PREFIX};
use super::error::SourceError;
use super::{FetchReporter, Source};

enum Event {
    Started(u64),
    Advanced(u64),
}

/// The crate reports from its own thread; the reporter lives on ours.
struct Channel(mpsc::Sender<Event>);

impl Progress for Channel {
    fn init(&mut self, size: usize, _: &str) {
        // A reader that went away has no use for numbers.
        drop(self.0.blocking_send(Event::Started(size as u64)));
    }

    fn update(&mut self, size: usize) {
        drop(self.0.blocking_send(Event::Advanced(size as u64)));
    }

    fn finish(&mut self) {}
}

/// Fetches a file of a repository into a temporary file of `folder`.
pub(super) async fn download(
    source: &Source,
    repository: &str,
    revision: &str,
    file: &str,
    folder: &Path,
    reporter: &dyn FetchReporter,
) -> Result<Hashed, SourceError> {
    let name = source.to_string();
    let (sender, mut receiver) = mpsc::channel(64);
    let task = {
        let repo = Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned());
        let (name, file, folder) = (name.clone(), file.to_owned(), folder.to_owned());
        tokio::spawn(blocking(move || {
            fetch(&name, repo, &file, &folder, Channel(sender))
        }))
    };
    let mut expected = None;
    while let Some(event) = receiver.recv().await {
        match event {
            // The crate says the size twice.
            Event::Started(size) if expected.is_none() => {
                expected = Some(size);
                reporter.started(&name, expected);
            }
            Event::Started(_) => {}
            Event::Advanced(bytes) => reporter.advanced(bytes),
        }
    }
    let hashed = task.await.map_err(|error| SourceError::Hub {
        name: name.clone(),
        source: Box::new(error),
    })??;
    match expected {
        // The crate does not compare: a connection that was closed early would pass for a whole file.
        Some(expected) if expected != hashed.bytes => Err(SourceError::Size {
            name,
            found: hashed.bytes,
            expected: expected.to_string(),
        }),
        _ => Ok(hashed),
    }
}

fn fetch(
    name: &str,
    repo: Repo,
    file: &str,
    folder: &Path,
    progress: Channel,
) -> Result<Hashed, SourceError> {
    let broken = |source| SourceError::Hub {
        name: name.to_owned(),
        source,
    };
    // The crate's cache is a folder of its own that goes away: ours keeps verified files alone.
    let work = tempfile::Builder::new()
        .prefix(PARTIAL_PREFIX)
        .tempdir_in(folder)
        .map_err(SourceError::file("write to", folder))?;
    let api = ApiBuilder::from_cache(HubCache::new(work.path().to_owned()))
        .with_progress(false)
        .with_token(None)
        .with_retries(2)
        .with_user_agent("limbeck", env!("CARGO_PKG_VERSION"))
        .build()
        .map_err(|error| broken(Box::new(error)))?;
    let path = api
        .repo(repo)
        .download_with_progress(file, progress)
        .map_err(|error| broken(Box::new(error)))?;
    let mut input = File::open(&path).map_err(SourceError::file("read", &path))?;
    let mut output = HashedFile::create(folder)?;
    io::copy(&mut input, &mut output).map_err(SourceError::file("write", output.path()))?;
    output.finish()
}
