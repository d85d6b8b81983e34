use proptest::prelude::*;

use super::*;

fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(1_760_000_000_000 + milliseconds).unwrap()
}

fn request(started: i64, key: &str) -> Request {
    Request {
        teacher: "service|large".to_owned(),
        endpoint: "api.example/v1/chat".to_owned(),
        key_alias: Some(key.to_owned()),
        started: at(started),
        answered: at(started + 100),
        http_status: Some(200),
        headers: BTreeMap::new(),
        prompt_tokens: 10,
        completion_tokens: 5,
        limits: Some(serde_json::json!({ "requests_per_minute": 3 })),
    }
}

fn told_to_wait(started: i64, key: &str, header: &str, value: &str) -> Request {
    Request {
        http_status: Some(429),
        headers: BTreeMap::from([(header.to_owned(), value.to_owned())]),
        limits: None,
        ..request(started, key)
    }
}

fn found(requests: &[Request], policy: &ConductPolicy) -> Vec<(String, Level)> {
    let findings = conduct(requests, &[], policy);
    findings.into_iter().map(|f| (f.code, f.level)).collect()
}

fn denied(code: &str) -> Vec<(String, Level)> {
    vec![(code.to_owned(), Level::Deny)]
}

#[test]
fn a_request_inside_a_wait_is_found_and_one_after_it_is_not() {
    let none = ConductPolicy::default();
    for (header, value) in [("retry-after", "20"), ("retry-after-ms", "20000")] {
        let asked = told_to_wait(0, "a", header, value);
        let ignored = [asked.clone(), request(10_000, "a")];
        assert_eq!(
            found(&ignored, &none),
            denied("conduct::retry-after-ignored")
        );
        let kept = [asked, request(20_101, "a")];
        assert_eq!(found(&kept, &none), []);
    }
}

#[test]
fn a_date_to_wait_for_is_measured_by_the_clock_of_the_service() {
    let mut asked = told_to_wait(0, "a", "retry-after", "Thu, 01 Jan 2026 09:00:20 GMT");
    asked.headers.insert(
        "date".to_owned(),
        "Thu, 01 Jan 2026 09:00:00 GMT".to_owned(),
    );
    let none = ConductPolicy::default();
    assert_eq!(
        found(&[asked.clone(), request(19_000, "a")], &none),
        denied("conduct::retry-after-ignored")
    );
    assert_eq!(found(&[asked, request(21_000, "a")], &none), []);
}

#[test]
fn what_was_on_its_way_when_the_wait_began_is_not_held_against_anybody() {
    let asked = told_to_wait(0, "a", "retry-after", "20");
    let requests = [request(50, "a"), asked, request(200, "a")];
    assert_eq!(found(&requests, &ConductPolicy::default()), []);
}

#[test]
fn another_key_inside_a_wait_is_judged_by_its_account() {
    let requests = [
        told_to_wait(0, "a", "retry-after", "20"),
        request(5_000, "b"),
    ];
    let accounts = |b: &str| ConductPolicy {
        accounts: [("a", "one"), ("b", b)]
            .map(|(key, account)| (key.to_owned(), account.to_owned()))
            .into(),
        ..ConductPolicy::default()
    };
    assert_eq!(
        found(&requests, &accounts("one")),
        denied("conduct::keys-rotated")
    );
    assert_eq!(found(&requests, &accounts("two")), []);
    let undeclared = found(&requests, &ConductPolicy::default());
    assert_eq!(
        undeclared,
        [("conduct::keys-rotated".to_owned(), Level::Warning)]
    );
}

#[test]
fn keys_of_one_account_share_its_limits() {
    let requests: Vec<Request> = (0..4)
        .map(|i| request(i * 1000, if i % 2 == 0 { "a" } else { "b" }))
        .collect();
    assert_eq!(found(&requests, &ConductPolicy::default()), []);
    let one = ConductPolicy {
        accounts: ["a", "b"]
            .map(|key| (key.to_owned(), "one".to_owned()))
            .into(),
        ..ConductPolicy::default()
    };
    assert_eq!(
        found(&requests, &one),
        denied("conduct::over-requests-per-minute")
    );
}

#[test]
fn a_failed_request_counts_under_the_limits_of_the_others() {
    let mut requests: Vec<Request> = (0..4).map(|i| request(i * 1000, "a")).collect();
    requests[3].limits = None;
    requests[3].http_status = None;
    let found = found(&requests, &ConductPolicy::default());
    assert_eq!(found, denied("conduct::over-requests-per-minute"));
}

#[test]
fn banned_providers_models_and_regions_are_found_in_any_case() {
    let origin = |provider: &str, region: Option<&str>| Origin {
        provider: provider.to_owned(),
        model: format!("{provider}-1"),
        region: region.map(str::to_owned),
        is_import: false,
        answers: 3,
    };
    let policy = ConductPolicy {
        banned_providers: BTreeSet::from(["far".to_owned()]),
        banned_regions: BTreeSet::from(["XX".to_owned()]),
        banned_models: BTreeSet::from(["MID-1".to_owned()]),
        ..ConductPolicy::default()
    };
    let origins = [
        origin("Far", Some("eu")),
        origin("mid", Some("eu")),
        origin("near", Some("xx")),
        origin("near", None),
        origin("local", None),
    ];
    let codes: Vec<String> = conduct(&[], &origins, &policy)
        .into_iter()
        .map(|f| f.code)
        .collect();
    assert_eq!(
        codes,
        [
            "conduct::banned-model",
            "conduct::banned-provider",
            "conduct::banned-region",
            "conduct::unknown-region"
        ]
    );
    assert_eq!(conduct(&[], &origins, &ConductPolicy::default()), []);
}

#[test]
fn many_findings_of_a_code_are_counted() {
    let waits: Vec<Request> = (0..300)
        .map(|i| told_to_wait(i * 1000, "a", "retry-after", "2"))
        .collect();
    let findings = conduct(&waits, &[], &ConductPolicy::default());
    assert_eq!(findings.len(), MOST_OF_A_CODE + 1);
    let rest = findings.iter().find(|f| f.message.starts_with("and "));
    assert_eq!(rest.unwrap().message, "and 199 more of these");
}

proptest! {
    /// By counting every window anew.
    #[test]
    fn a_limit_is_exceeded_where_some_window_holds_more(
        mut times in prop::collection::vec(0_i64..300_000, 0..40),
        limit in 1_u64..6,
    ) {
        let requests: Vec<Request> = times
            .iter()
            .map(|&time| Request {
                limits: Some(serde_json::json!({ "requests_per_minute": limit })),
                ..request(time, "a")
            })
            .collect();
        times.sort_unstable();
        let over = times.iter().any(|end| {
            let inside = times.iter().filter(|time| **time <= *end && **time > end - 60_000);
            inside.count() as u64 > limit
        });
        let codes = found(&requests, &ConductPolicy::default());
        prop_assert_eq!(!codes.is_empty(), over);
    }

    /// By looking at each pair.
    #[test]
    fn a_wait_is_ignored_where_some_request_begins_inside(
        waits in prop::collection::vec((0_i64..60_000, 1_u32..30), 0..5),
        times in prop::collection::vec(0_i64..90_000, 0..10),
    ) {
        let mut requests: Vec<Request> = waits
            .iter()
            .map(|(time, wait)| told_to_wait(*time, "a", "retry-after", &wait.to_string()))
            .collect();
        requests.extend(times.iter().map(|time| Request { limits: None, ..request(*time, "a") }));
        let begun: Vec<i64> = waits.iter().map(|(time, _)| *time).chain(times).collect();
        let ignored = waits.iter().any(|(time, wait)| {
            let came = time + 100;
            begun.iter().any(|begun| *begun > came + 250 && *begun < came + i64::from(*wait) * 1000 - 250)
        });
        let codes = found(&requests, &ConductPolicy::default());
        prop_assert_eq!(!codes.is_empty(), ignored);
    }

    #[test]
    fn hostile_headers_do_no_harm(name in "retry-after(-ms)?", value in ".*", date in ".*") {
        let mut asked = told_to_wait(0, "a", &name, &value);
        asked.headers.insert("date".to_owned(), date);
        conduct(&[asked, request(5_000, "a")], &[], &ConductPolicy::default());
    }
}

#[test]
fn an_endpoint_with_limits_of_its_own_is_counted_apart_from_the_rest_of_the_key() {
    let none = ConductPolicy::default();
    let own = |started| Request {
        endpoint: "other.example/v1/chat".to_owned(),
        limits: Some(serde_json::json!({
            "requests_per_minute": 2, "endpoint": "other.example/v1/chat",
        })),
        ..request(started, "a")
    };
    let kept = [
        request(0, "a"),
        request(1, "a"),
        request(2, "a"),
        own(3),
        own(4),
    ];
    assert_eq!(found(&kept, &none), []);
    let over = [request(0, "a"), own(3), own(4), own(5)];
    assert_eq!(
        found(&over, &none),
        denied("conduct::over-requests-per-minute")
    );
    let failed = Request {
        limits: None,
        http_status: Some(500),
        ..own(6)
    };
    let with_a_failure = [own(3), own(4), failed];
    assert_eq!(
        found(&with_a_failure, &none),
        denied("conduct::over-requests-per-minute")
    );
}
