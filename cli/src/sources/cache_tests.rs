#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

#[derive(Default)]
struct Counter {
    started: AtomicUsize,
    finished: AtomicUsize,
    bytes: AtomicU64,
}

impl FetchReporter for Counter {
    fn waiting(&self, _: &str) {}
    fn started(&self, _: &str, _: Option<u64>) {
        self.started.fetch_add(1, Ordering::SeqCst);
    }
    fn advanced(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }
    fn finished(&self) {
        self.finished.fetch_add(1, Ordering::SeqCst);
    }
}

fn digest_of(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// Answers each connection with the next of `answers`, byte for byte, and closes it.
fn serve(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            stream.write_all(&answer).unwrap();
        }
    });
    format!("http://{address}/data/prompts.csv")
}

fn answer(status: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn web_cache(folder: &TempDir) -> Cache {
    let mut cache = Cache::new(folder.path(), false);
    cache.plain_http = true;
    cache
}

/// Every file under `folder` that is neither a lock nor a record.
fn kept(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return names;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            names.extend(kept(&path));
        } else {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name != LOCK && name != RECORD {
                names.push(name);
            }
        }
    }
    names
}

#[tokio::test]
async fn a_download_is_made_once_and_then_serves_offline() {
    let folder = TempDir::new().unwrap();
    let body = b"text\nhello\n";
    let source = Source::Web(serve(vec![answer("200 OK", body.len(), body)]));
    let counter = Counter::default();
    let cache = web_cache(&folder);
    let sha256 = digest_of(body);
    for cache in [cache.clone(), cache, Cache::new(folder.path(), true)] {
        for expected in [Some(sha256.as_str()), None] {
            let fetched = cache
                .fetch(&source, expected, Path::new("."), &counter)
                .await
                .unwrap();
            assert_eq!(fs::read(&fetched.path).unwrap(), body);
            assert_eq!((fetched.sha256.as_str(), fetched.bytes), (&*sha256, 11));
            assert!(fetched.path.ends_with("prompts.csv"));
        }
    }
    assert_eq!(counter.started.load(Ordering::SeqCst), 1);
    assert_eq!(counter.finished.load(Ordering::SeqCst), 1);
    assert_eq!(counter.bytes.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn a_download_that_breaks_off_leaves_nothing_and_can_be_repeated() {
    let folder = TempDir::new().unwrap();
    let body = vec![b'x'; 100_000];
    let source = Source::Web(serve(vec![
        answer("200 OK", body.len(), &body[..40_000]),
        answer("200 OK", body.len(), &body),
    ]));
    let cache = web_cache(&folder);
    let counter = Counter::default();
    let error = cache
        .fetch(&source, None, Path::new("."), &counter)
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::Web { .. }), "{error:?}");
    assert_eq!(kept(folder.path()), Vec::<String>::new());
    let fetched = cache
        .fetch(&source, None, Path::new("."), &counter)
        .await
        .unwrap();
    assert_eq!(fetched.bytes, 100_000);
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed() {
    let folder = TempDir::new().unwrap();
    let source = Source::Web(serve(vec![answer("200 OK", 1, b"x")]));
    let entry = Entry::new(folder.path(), &source);
    fs::create_dir_all(entry.folder.join(".partial-wheel")).unwrap();
    fs::write(entry.folder.join(".partial-a1"), "half").unwrap();
    // A file without its record is as good as none.
    fs::write(&entry.file, "half").unwrap();
    let cache = web_cache(&folder);
    let fetched = cache
        .fetch(&source, None, Path::new("."), &Counter::default())
        .await
        .unwrap();
    assert_eq!(fs::read(fetched.path).unwrap(), b"x");
    assert_eq!(kept(folder.path()), ["prompts.csv"]);
}

#[tokio::test]
async fn a_wrong_checksum_names_both_and_keeps_nothing() {
    let folder = TempDir::new().unwrap();
    let source = Source::Web(serve(vec![answer("200 OK", 4, b"evil")]));
    let expected = digest_of(b"good");
    let error = web_cache(&folder)
        .fetch(
            &source,
            Some(&expected),
            Path::new("."),
            &Counter::default(),
        )
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains(&expected), "{error}");
    assert!(error.contains(&digest_of(b"evil")), "{error}");
    assert_eq!(kept(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn a_cached_file_that_was_changed_is_fetched_again() {
    let folder = TempDir::new().unwrap();
    let whole = answer("200 OK", 4, b"good");
    let source = Source::Web(serve(vec![whole.clone(), whole]));
    let cache = web_cache(&folder);
    let sha256 = digest_of(b"good");
    let counter = Counter::default();
    let fetch = || cache.fetch(&source, Some(&sha256), Path::new("."), &counter);
    let path = fetch().await.unwrap().path;
    fs::write(&path, "baad").unwrap();
    let offline = Cache::new(folder.path(), true);
    let error = offline
        .fetch(&source, Some(&sha256), Path::new("."), &counter)
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::Checksum { .. }), "{error:?}");
    fetch().await.unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"good");
    assert_eq!(counter.started.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_error_page_is_no_file() {
    let folder = TempDir::new().unwrap();
    let source = Source::Web(serve(vec![answer("404 Not Found", 4, b"gone")]));
    let error = web_cache(&folder)
        .fetch(&source, None, Path::new("."), &Counter::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("404 Not Found"), "{error}");
    assert_eq!(kept(folder.path()), Vec::<String>::new());
}

#[tokio::test]
async fn offline_and_not_in_the_cache_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let source = Source::parse("pypi:a==1#b.csv").unwrap();
    let error = Cache::new(folder.path(), true)
        .fetch(&source, None, Path::new("."), &Counter::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`pypi:a==1#b.csv` is not in the cache"),
        "{error}"
    );
    assert!(error.contains("run once without `--offline`"), "{error}");
}

#[tokio::test]
async fn paths_are_used_in_place_and_verified() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("a.csv"), "text\n").unwrap();
    fs::create_dir(folder.path().join("model")).unwrap();
    fs::write(folder.path().join("model/config.json"), "{}").unwrap();
    let cache = Cache::new(folder.path().join("cache"), true);
    let counter = Counter::default();
    let fetch = async |text: &str, sha256: Option<&str>| {
        let source = Source::parse(text).unwrap();
        cache.fetch(&source, sha256, folder.path(), &counter).await
    };
    let fetched = fetch("a.csv", Some(&digest_of(b"text\n"))).await.unwrap();
    assert_eq!(fetched.path, folder.path().join("a.csv"));
    let model = fetch("model", None).await.unwrap();
    assert_eq!(model.bytes, 2);
    fs::write(folder.path().join("model/config.json"), "[]").unwrap();
    assert_ne!(fetch("model", None).await.unwrap().sha256, model.sha256);
    let wrong = fetch("a.csv", Some("00")).await.unwrap_err();
    assert!(matches!(wrong, SourceError::Checksum { .. }), "{wrong:?}");
    let missing = fetch("b.csv", None).await.unwrap_err().to_string();
    assert!(missing.contains("there is no file"), "{missing}");
    assert!(!folder.path().join("cache").exists());
}

/// A stand-in for Python whose `-m pip download` runs `script` in the folder where the wheel is expected.
#[cfg(unix)]
fn python(folder: &Path, script: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join("python3");
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[cfg(unix)]
fn wheel(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let path = folder.join("the.whl");
    let mut writer = ZipWriter::new(File::create(&path).unwrap());
    for (name, content) in files {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap();
    path
}

#[cfg(unix)]
async fn from_wheel(files: &[(&str, &[u8])], member: &str) -> Result<Vec<u8>, SourceError> {
    let folder = TempDir::new().unwrap();
    let wheel = wheel(folder.path(), files);
    let mut cache = Cache::new(folder.path().join("cache"), false);
    cache.python = python(folder.path(), &format!("cp '{}' .", wheel.display()));
    let source = Source::parse(&format!("pypi:a==1#{member}")).unwrap();
    let result = cache
        .fetch(&source, None, Path::new("."), &Counter::default())
        .await;
    let expected = usize::from(result.is_ok());
    assert_eq!(kept(&folder.path().join("cache")).len(), expected);
    result.map(|fetched| fs::read(fetched.path).unwrap())
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_taken_out_of_a_wheel() {
    let files: &[(&str, &[u8])] = &[
        ("a/data/x.csv", b"one"),
        ("a/other/y.csv", b"two"),
        ("a/data/y.csv", b"three"),
        ("../../x.txt", b"outside"),
        ("a.dist-info/METADATA", b""),
    ];
    assert_eq!(from_wheel(files, "x.csv").await.unwrap(), b"one");
    assert_eq!(from_wheel(files, "a/data/y.csv").await.unwrap(), b"three");
    // The name inside is looked at and never used: the content lands in the cache under the name of the recipe.
    assert_eq!(from_wheel(files, "x.txt").await.unwrap(), b"outside");
    let ambiguous = from_wheel(files, "y.csv").await.unwrap_err().to_string();
    assert!(
        ambiguous.contains("holds 2 files named `y.csv`")
            && ambiguous.contains("`a/other/y.csv`, `a/data/y.csv`"),
        "{ambiguous}"
    );
    let missing = from_wheel(files, "z.csv").await.unwrap_err().to_string();
    assert!(
        missing.contains("holds 0 files named `z.csv`") && missing.contains("`a/data/x.csv`"),
        "{missing}"
    );
    assert!(!missing.contains("METADATA"), "{missing}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_failing_pip_shows_its_last_lines() {
    let folder = TempDir::new().unwrap();
    let mut cache = Cache::new(folder.path().join("cache"), false);
    cache.python = python(
        folder.path(),
        "i=0; while [ $i -lt 50 ]; do echo noise $i >&2; i=$((i+1)); done; echo 'no such version' >&2; exit 1",
    );
    let source = Source::parse("pypi:a==9#x").unwrap();
    let counter = Counter::default();
    let fetch = || cache.fetch(&source, None, Path::new("."), &counter);
    let error = fetch().await.unwrap_err().to_string();
    assert!(error.ends_with("noise 49\nno such version"), "{error}");
    assert!(!error.contains("noise 3\n"), "{error}");
    cache.python = folder.path().join("no-python");
    let fetch = || cache.fetch(&source, None, Path::new("."), &counter);
    let error = fetch().await.unwrap_err().to_string();
    assert!(error.contains("need Python 3 with pip"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_broken_wheel_is_an_error() {
    let folder = TempDir::new().unwrap();
    let mut cache = Cache::new(folder.path().join("cache"), false);
    cache.python = python(folder.path(), "echo 'PK no zip' > a.whl");
    let source = Source::parse("pypi:a==9#x").unwrap();
    let error = cache
        .fetch(&source, None, Path::new("."), &Counter::default())
        .await
        .unwrap_err();
    assert!(matches!(error, SourceError::Archive { .. }), "{error:?}");
    assert_eq!(kept(&folder.path().join("cache")), Vec::<String>::new());
}
