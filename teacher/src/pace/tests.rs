//! The promise over minutes, in virtual time.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::wire::{Measure, RateSignals, RateWindow};

fn per_minute(requests: u64, tokens: u64) -> Limits {
    Limits {
        requests_per_minute: Some(requests),
        tokens_per_minute: Some(tokens),
        ..Limits::concurrent(256)
    }
}

fn pacer(limits: &Limits) -> Arc<Pacer> {
    Pacer::new(limits, true, Purse::new(limits))
}

fn tokens(input: u64, output: u64) -> Demand {
    Demand {
        input_tokens: input,
        output_tokens: output,
        cost: 0,
    }
}

/// What arrives at a teacher: when, and how many tokens it used.
type Arrivals = Arc<Mutex<Vec<(f64, u64)>>>;

/// `workers` ask without pause for `length`; each request reserves `reserved` and uses `used`, and is answered after
/// `latency`.
async fn run(
    limits: &Limits,
    workers: usize,
    length: Duration,
    latency: Duration,
    (reserved, used): (Demand, Demand),
) -> Vec<(f64, u64)> {
    let pacer = pacer(limits);
    let (started, arrivals) = (Instant::now(), Arrivals::default());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..workers {
        let (pacer, arrivals) = (pacer.clone(), arrivals.clone());
        tasks.spawn(async move {
            let never = CancellationToken::new();
            while started.elapsed() < length {
                let reservation = pacer.reserve(reserved, &never).await.unwrap();
                let at = started.elapsed().as_secs_f64();
                let used_tokens = used.input_tokens + used.output_tokens;
                arrivals.lock().unwrap().push((at, used_tokens));
                tokio::time::sleep(latency).await;
                reservation.answered(used);
            }
        });
    }
    tasks.join_all().await;
    let arrivals = arrivals.lock().unwrap();
    let within = |&&(at, _): &&(f64, u64)| at < length.as_secs_f64();
    arrivals.iter().filter(within).copied().collect()
}

/// The most requests, and the most tokens, in any 60 seconds.
fn busiest_minute(arrivals: &[(f64, u64)]) -> (u64, u64) {
    let minute = |&(end, _): &(f64, u64)| {
        let within = |&&(at, _): &&(f64, u64)| at > end - 60.0 && at <= end;
        let minute = arrivals.iter().filter(within);
        minute.fold((0, 0), |(requests, tokens), &(_, used)| {
            (requests + 1, tokens + used)
        })
    };
    let minutes: Vec<_> = arrivals.iter().map(minute).collect();
    (
        minutes
            .iter()
            .map(|&(requests, _)| requests)
            .max()
            .unwrap_or(0),
        minutes.iter().map(|&(_, tokens)| tokens).max().unwrap_or(0),
    )
}

#[tokio::test(start_paused = true)]
async fn five_minutes_use_what_is_allowed_and_no_minute_more() {
    let five_minutes = Duration::from_mins(5);
    // Requests bind in the first, tokens in the others; answers use less than was reserved.
    let cases = [
        (600, 60_000, 80, 20, tokens(60, 60), tokens(40, 40)),
        (600, 60_000, 256, 10, tokens(100, 256), tokens(90, 110)),
        (600, 60_000, 64, 200, tokens(500, 1000), tokens(400, 600)),
        (7, 100_000, 8, 800, tokens(10, 10), tokens(10, 10)),
    ];
    for (requests, allowed, workers, latency, reserved, used) in cases {
        let arrivals = run(
            &per_minute(requests, allowed),
            workers,
            five_minutes,
            Duration::from_millis(latency),
            (reserved, used),
        )
        .await;
        let busiest = busiest_minute(&arrivals);
        assert!(busiest.0 <= requests, "{busiest:?} of {requests}");
        assert!(busiest.1 <= allowed, "{busiest:?} of {allowed}");
        let sent = arrivals.len() as f64 / (5.0 * requests as f64);
        let read: u64 = arrivals.iter().map(|&(_, tokens)| tokens).sum();
        let share = sent.max(read as f64 / (5.0 * allowed as f64));
        assert!(share >= 0.97, "{share} with {requests} and {allowed}");
    }
}

#[tokio::test(start_paused = true)]
async fn there_is_no_burst_at_the_start() {
    let second = Duration::from_secs(1);
    let arrivals = run(
        &per_minute(600, u64::MAX),
        256,
        second,
        Duration::from_millis(1),
        (Demand::default(), Demand::default()),
    )
    .await;
    assert!((10..=11).contains(&arrivals.len()), "{}", arrivals.len());
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_first_is_served_first_and_who_gives_up_takes_nothing() {
    let pacer = pacer(&per_minute(60, 1000));
    let never = CancellationToken::new();
    let large = pacer.reserve(tokens(0, 900), &never).await.unwrap();
    let order = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for (number, demand) in [(1, 800), (2, 10), (3, 900), (4, 10)] {
        let (pacer, order) = (pacer.clone(), order.clone());
        let cancel = CancellationToken::new();
        if number == 3 {
            let cancel = cancel.clone();
            tasks.spawn(async move {
                tokio::time::sleep(Duration::from_secs(110)).await;
                cancel.cancel();
            });
        }
        tasks.spawn(async move {
            let reserved = pacer.reserve(tokens(0, demand), &cancel).await;
            order.lock().unwrap().push((number, reserved.is_ok()));
        });
        tokio::task::yield_now().await;
    }
    drop(large);
    tasks.join_all().await;
    assert_eq!(
        *order.lock().unwrap(),
        [(1, true), (2, true), (3, false), (4, true)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_pause_stops_everybody_to_the_second() {
    let pacer = pacer(&Limits::concurrent(8));
    pacer.pause(Duration::from_secs(30));
    pacer.pause(Duration::from_secs(5));
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let pacer = pacer.clone();
        tasks.spawn(async move {
            let never = CancellationToken::new();
            let reservation = pacer.reserve(Demand::default(), &never).await.unwrap();
            let at = started.elapsed();
            reservation.answered(Demand::default());
            at
        });
    }
    for at in tasks.join_all().await {
        assert!(at >= Duration::from_secs(30) && at < Duration::from_millis(30_100));
    }
}

#[tokio::test(start_paused = true)]
async fn earlier_runs_count_against_the_minute_the_day_and_the_cap() {
    let limits = Limits {
        requests_per_minute: Some(10),
        requests_per_day: Some(12),
        spend_usd: Some(1.0),
        ..Limits::concurrent(8)
    };
    let purse = Purse::new(&limits);
    let pacer = Pacer::new(&limits, true, purse.clone());
    let hour = Duration::from_hours(1);
    let ago = [25 * hour, 23 * hour, Duration::from_secs(10)];
    pacer.remember(ago.map(|ago| (ago, Demand::default())));
    purse.remember(900_000_000);
    assert_eq!(
        pacer.usage().limits,
        [("requests_per_minute", 1, 10), ("requests_per_day", 2, 12)]
    );
    let never = CancellationToken::new();
    let dear = Demand {
        cost: 100_000_001,
        ..Demand::default()
    };
    assert!(matches!(
        pacer.reserve(dear, &never).await,
        Err(NotBegun::Refused(Refusal::CapReached { .. }))
    ));
    let started = Instant::now();
    for _ in 0..10 {
        let reservation = pacer.reserve(Demand::default(), &never).await.unwrap();
        reservation.answered(Demand::default());
    }
    assert_eq!(pacer.usage().limits[1], ("requests_per_day", 12, 12));
    let eleventh = pacer.reserve(Demand::default(), &never).await.unwrap();
    // The one of 23 hours ago leaves the day, and its margin, first.
    let waited = started.elapsed();
    assert!(waited > hour && waited < 2 * hour, "{waited:?}");
    drop(eleventh);
}

#[tokio::test(start_paused = true)]
async fn a_demand_that_never_fits_says_which_limit_it_exceeds() {
    let pacer = pacer(&per_minute(10, 500));
    let never = CancellationToken::new();
    let error = pacer.reserve(tokens(400, 200), &never).await.err();
    assert_eq!(
        error,
        Some(NotBegun::Refused(Refusal::LargerThanLimit {
            field: "tokens_per_minute",
            need: 600,
            allowance: 500
        }))
    );
}

#[tokio::test(start_paused = true)]
async fn limits_are_tightened_by_what_the_teacher_says_and_never_widened() {
    let pacer = pacer(&per_minute(600, 60_000));
    let told = |measure, span, limit| RateWindow {
        measure,
        span: Some(Duration::from_secs(span)),
        limit: Some(limit),
        remaining: Some(5),
        reset: None,
    };
    let signals = RateSignals {
        retry_after: None,
        windows: vec![
            told(Measure::Requests, 60, 120),
            told(Measure::Requests, 1, 2),
            told(Measure::Tokens, 60, 90_000),
        ],
    };
    pacer.obey(&signals);
    let usage = pacer.usage().limits;
    assert_eq!(
        usage,
        [
            ("requests_per_minute", 0, 120),
            ("tokens_per_minute", 0, 60_000)
        ]
    );
    assert_eq!(pacer.paused(), Duration::ZERO);
    let used_up = RateSignals {
        retry_after: None,
        windows: vec![RateWindow {
            remaining: Some(0),
            reset: Some(Duration::from_secs(7)),
            ..told(Measure::Requests, 60, 120)
        }],
    };
    pacer.obey(&used_up);
    assert_eq!(pacer.paused(), Duration::from_secs(7));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However many workers, tokens and delays, and however far answers stay below what was reserved.
    #[test]
    fn no_minute_exceeds_its_allowance(
        requests in 1_u64..400,
        allowed in 500_u64..20_000,
        workers in 1_usize..40,
        latency in 1_u64..5000,
        reserved in 1_u64..400,
        share in 0.0..1.0_f64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let used = tokens((reserved as f64 * share) as u64, 0);
        let arrivals = runtime.block_on(run(
            &per_minute(requests, allowed),
            workers,
            Duration::from_mins(3),
            Duration::from_millis(latency),
            (tokens(reserved, 0), used),
        ));
        let busiest = busiest_minute(&arrivals);
        prop_assert!(busiest.0 <= requests && busiest.1 <= allowed, "{:?}", busiest);
    }
}
