//! What the page says, worked out in Rust so that the templates only place it.

mod facts;
mod headline;

use serde::Serialize;

use facts::{Fact, provenance, training};
use headline::{Card, GateLine, Verdict, cards, gate_lines, lede};

use super::chart::{LossChart, ScoreChart, scores_of};
use super::{Exported, Report, SampleAnswer, Suite};
use crate::text;

/// An answer no longer than this is a label and is shown beside the others; a longer one gets lines of its own.
const SHORT_ANSWER: usize = 32;

/// The page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    created: String,
    version: String,
    verdict: Verdict,
    lede: Vec<String>,
    cards: Vec<Card>,
    gates: Vec<GateLine>,
    funnel: Vec<FunnelBar>,
    checks: Vec<CheckLine>,
    suites: Vec<SuiteView>,
    loss: Option<LossChart>,
    training: Vec<Fact>,
    exports: Vec<ExportLine>,
    samples: Vec<SampleView>,
    samples_with_expected: bool,
    samples_with_teacher: bool,
    provenance: Vec<Fact>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FunnelBar {
    name: String,
    count: String,
    /// Percent of the first step.
    width: f64,
    share: String,
}

#[derive(Debug, Serialize)]
struct CheckLine {
    name: String,
    judged: String,
    dropped: String,
    first_dropped: String,
}

#[derive(Debug, Serialize)]
struct SuiteView {
    heading: &'static str,
    name: String,
    metric: &'static str,
    direction: &'static str,
    n: String,
    chart: Option<ScoreChart>,
    rows: Vec<ScoreLine>,
    agreement: Option<String>,
    gate: Option<String>,
    passed: bool,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ScoreLine {
    role: &'static str,
    name: String,
    score: String,
    interval: String,
    requests_per_second: Option<String>,
    tokens_per_second: Option<String>,
    memory: Option<String>,
}

#[derive(Debug, Serialize)]
struct ExportLine {
    format: String,
    path: String,
    size: String,
    smaller: Option<String>,
    sha256: String,
    short_sha256: String,
    difference: Option<String>,
    speed: Option<String>,
}

#[derive(Debug, Serialize)]
struct SampleView {
    input: String,
    answers: Vec<AnswerView>,
    short: bool,
}

#[derive(Debug, Serialize)]
struct AnswerView {
    who: &'static str,
    text: String,
    /// Whether it is the expected answer, where there is one.
    right: Option<bool>,
}

/// The verdict in words.
pub(super) fn verdict(report: &Report) -> String {
    Verdict::of(report).text
}

impl Page {
    pub(super) fn of(report: &Report) -> Self {
        let samples: Vec<SampleView> = report.samples.iter().map(SampleView::of).collect();
        Self {
            title: report.recipe.name.clone(),
            created: readable_time(&report.created),
            version: report.limbeck_version.clone(),
            verdict: Verdict::of(report),
            lede: lede(report),
            cards: cards(report),
            gates: gate_lines(report),
            funnel: funnel(report),
            checks: checks(report),
            suites: report.suites().iter().map(SuiteView::of).collect(),
            loss: report
                .train
                .as_ref()
                .and_then(|train| LossChart::of(&train.curve)),
            training: training(report),
            exports: report
                .export
                .iter()
                .map(|file| ExportLine::of(file, report))
                .collect(),
            samples,
            samples_with_expected: report
                .samples
                .iter()
                .any(|sample| sample.expected.is_some()),
            samples_with_teacher: report.samples.iter().any(|sample| sample.teacher.is_some()),
            provenance: provenance(report),
            notes: report.notes.clone(),
        }
    }
}

fn funnel(report: &Report) -> Vec<FunnelBar> {
    let widest = report
        .funnel
        .iter()
        .map(|step| step.count)
        .max()
        .unwrap_or(0)
        .max(1) as f64;
    let share = |count: u64| count as f64 / widest * 100.0;
    report
        .funnel
        .iter()
        .map(|step| FunnelBar {
            name: step.name.clone(),
            count: text::grouped(step.count),
            width: (share(step.count) * 100.0).round() / 100.0,
            share: format!("{:.0} %", share(step.count)),
        })
        .collect()
}

fn checks(report: &Report) -> Vec<CheckLine> {
    let checks = report.curate.iter().flat_map(|curate| &curate.checks);
    checks
        .map(|check| CheckLine {
            name: check.name.clone(),
            judged: text::grouped(check.judged),
            dropped: text::grouped(check.dropped),
            first_dropped: text::grouped(check.first_dropped),
        })
        .collect()
}

impl SuiteView {
    fn of(suite: &Suite) -> Self {
        let metric = suite.metric;
        Self {
            heading: match suite.teacher {
                Some(_) => "Teacher against student",
                None => "The student on held-out rows",
            },
            name: suite.name.clone(),
            metric: metric.title(),
            direction: metric.direction(),
            n: text::grouped(suite.n),
            chart: ScoreChart::of(suite),
            rows: scores_of(suite)
                .map(|(role, score)| ScoreLine {
                    role,
                    name: score.name.clone(),
                    score: metric.show(score.score),
                    interval: metric.show_interval(score.low, score.high),
                    requests_per_second: score.requests_per_second.map(text::number),
                    tokens_per_second: score.tokens_per_second.map(text::number),
                    memory: score.peak_rss_bytes.map(text::size),
                })
                .collect(),
            agreement: suite.agreement.as_ref().map(|agreement| {
                format!(
                    "Student and teacher answer alike on {:.1} % of the rows (95 % interval {:.1}–{:.1} %).",
                    agreement.share * 100.0,
                    agreement.low * 100.0,
                    agreement.high * 100.0
                )
            }),
            gate: suite.gate.as_ref().map(|gate| gate.text.clone()),
            passed: suite.passed,
            notes: suite.notes.clone(),
        }
    }
}

impl ExportLine {
    fn of(file: &Exported, report: &Report) -> Self {
        let teacher = report
            .harvest
            .as_ref()
            .and_then(|harvest| harvest.teacher.bytes);
        Self {
            format: file.format.clone(),
            path: file.path.clone(),
            size: text::size(file.bytes),
            smaller: teacher
                .filter(|&teacher| file.bytes > 0 && teacher > file.bytes)
                .map(|teacher| {
                    format!("1/{:.0} of the teacher", teacher as f64 / file.bytes as f64)
                }),
            sha256: file.sha256.clone(),
            short_sha256: short_digest(&file.sha256),
            difference: file.max_logit_difference.map(small),
            speed: file.tokens_per_second.map(text::number),
        }
    }
}

impl SampleView {
    fn of(sample: &SampleAnswer) -> Self {
        let right = |answer: &String| {
            sample
                .expected
                .as_ref()
                .map(|expected| answer.trim() == expected.trim())
        };
        let answer = |who, text: &Option<String>, judged: bool| {
            text.as_ref().map(|text| AnswerView {
                who,
                text: text.trim().to_owned(),
                right: if judged { right(text) } else { None },
            })
        };
        let answers: Vec<AnswerView> = [
            answer("teacher", &sample.teacher, true),
            answer("student", &sample.student, true),
            answer("expected", &sample.expected, false),
        ]
        .into_iter()
        .flatten()
        .collect();
        Self {
            input: sample.input.trim().to_owned(),
            short: answers
                .iter()
                .all(|answer| answer.text.chars().count() <= SHORT_ANSWER),
            answers,
        }
    }
}

/// `1.3 M`; below a million the number itself.
fn millions(count: u64) -> String {
    match count {
        0..1_000_000 => text::grouped(count),
        1_000_000..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        _ => format!("{:.1} B", count as f64 / 1e9),
    }
}

/// A difference that is mostly far below one.
pub(super) fn small(value: f64) -> String {
    if value == 0.0 {
        "0".to_owned()
    } else if value.abs() < 1e-3 {
        format!("{value:.1e}")
    } else {
        format!("{value:.3}")
    }
}

fn short_digest(digest: &str) -> String {
    let short: String = digest.chars().take(12).collect();
    if short.len() < digest.len() {
        format!("{short}…")
    } else {
        short
    }
}

/// `2026-11-24T04:18:09.123Z` as `2026-11-24 04:18 UTC`; what is no time is left as it is.
fn readable_time(time: &str) -> String {
    time.parse::<jiff::Timestamp>().map_or_else(
        |_| time.to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    )
}
