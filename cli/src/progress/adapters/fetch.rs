//! The bar of a download.

use super::Late;
use crate::progress::Progress;
use crate::sources::FetchReporter;

/// Shows a download.
#[derive(Debug)]
pub struct FetchBar {
    late: Late,
}

impl FetchBar {
    /// The bar begins with the download; a file that is in the cache shows none.
    pub fn new(progress: &Progress) -> Self {
        Self {
            late: Late::new(progress),
        }
    }
}

impl FetchReporter for FetchBar {
    fn waiting(&self, source: &str) {
        let bar = self.late.begin("fetch", None, "bytes");
        bar.message(format!("waiting for another process, {}", short(source)));
    }

    fn started(&self, source: &str, bytes: Option<u64>) {
        // The bar of the waiting, if there was one, ends with it.
        if let Some(waited) = self.late.take() {
            waited.finish("the other process is done");
        }
        let bar = self.late.begin("fetch", bytes, "bytes");
        bar.message(short(source));
    }

    fn advanced(&self, bytes: u64) {
        self.late.with(|bar| bar.inc(bytes));
    }

    fn finished(&self) {
        if let Some(bar) = self.late.take() {
            bar.finish("");
        }
    }
}

/// The file of a source: what comes after its last `#` or `/`.
fn short(source: &str) -> &str {
    source
        .rsplit(['#', '/'])
        .find(|part| !part.is_empty())
        .unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::super::silent;
    use super::*;

    #[test]
    fn a_download_counts_its_bytes_and_a_cached_file_shows_nothing() {
        let bar = FetchBar::new(&silent());
        bar.finished();
        bar.waiting("pypi:a==1#b/model.gguf");
        bar.started("pypi:a==1#b/model.gguf", Some(100));
        bar.advanced(40);
        bar.advanced(60);
        let state = format!("{:?}", bar.late.take());
        assert!(
            state.contains("position: 100") && state.contains("\"model.gguf\""),
            "{state}"
        );
    }
}
