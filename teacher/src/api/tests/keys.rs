//! The key is in the header of each request and nowhere else.

use std::fmt::Write as _;

use super::*;

/// Keeps everything that any library logs, at the finest level there is.
struct Logs(Mutex<String>);

static LOGS: Logs = Logs(Mutex::new(String::new()));

impl log::Log for Logs {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut logs = self.0.lock().unwrap();
        let _ = writeln!(logs, "{} {}", record.target(), record.args());
    }

    fn flush(&self) {}
}

/// Repeats the key in every place it can think of.
fn indiscreet(seen: &Seen) -> Vec<Step> {
    let said = format!("you sent Bearer {KEY}");
    let number: u64 = seen.prompt["question ".len()..].parse().unwrap();
    match number % 4 {
        0 => answer(&said),
        1 => {
            let headers = [
                ("x-request-id", KEY),
                ("x-ratelimit-remaining-requests", KEY),
            ];
            response(400, &headers, said.as_bytes())
        }
        2 if seen.before == 0 => {
            let body = serde_json::json!({"error": {"message": said, "code": KEY}});
            response(500, &[], body.to_string().as_bytes())
        }
        _ => answer("an answer"),
    }
}

#[tokio::test]
async fn the_key_is_sent_and_found_nowhere_else() {
    log::set_logger(&LOGS).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let server = FaultServer::start(indiscreet).await;
    let notices = Arc::new(Notices::default());
    let options = ApiOptions {
        watcher: notices.clone(),
        ..options(&server)
    };
    let shown = format!("{:?}", options.endpoints);
    let harvested = run(options, 12).await;
    assert_eq!(harvested.answers().await.len(), 6);
    assert_eq!(harvested.failures().await.len(), 6);
    for seen in server.seen() {
        assert!(seen.head.contains(&format!("Bearer {KEY}")));
        assert!(!seen.body.to_string().contains(KEY));
    }

    let notices = notices.0.lock().unwrap().clone();
    let told = format!("{shown} {:?} {notices:?}", harvested.result);
    assert!(!told.contains(KEY), "{told}");
    let logs = LOGS.0.lock().unwrap().clone();
    assert!(logs.contains("reqwest"), "nothing is logged: {logs}");
    assert!(!logs.contains(KEY), "the key is logged");

    let folder = harvested.store.path().parent().unwrap().to_owned();
    harvested.store.clone().close().await;
    let mut looked_at = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let mut windows = bytes.windows(KEY.len());
        assert!(
            !windows.any(|window| window == KEY.as_bytes()),
            "the key is in the store"
        );
        looked_at += bytes.len();
    }
    assert!(looked_at > 10_000);
}

#[tokio::test]
async fn a_key_does_not_go_over_plain_http_to_another_machine() {
    let server = FaultServer::start(|seen| answer(&seen.prompt)).await;
    let elsewhere = ApiEndpoint {
        base_url: Some("http://models.example.com/v1".to_owned()),
        ..at(&server)
    };
    let options = ApiOptions {
        endpoints: vec![elsewhere],
        ..options(&server)
    };
    let error = ApiTeacher::new(options).err().unwrap();
    assert!(
        matches!(&error, ApiError::PlainHttp { alias, .. } if alias == "TEST_KEY"),
        "{error}"
    );
    assert!(error.hint().is_some());
}
