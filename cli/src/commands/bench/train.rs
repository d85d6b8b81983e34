//! `limbeck bench train`: the training step.

use anyhow::bail;
use limbeck_student::evaluate::{peak_resident_bytes, reset_peak_resident};
use limbeck_student::train::bench::{TrainBench, TrainBenchWork, train_bench};
use limbeck_student::train::{Shape, TrainPlan};
use serde_json::json;

use super::args::BenchTrainArgs;
use crate::exit_status::ExitStatus;
use crate::printer::{Printer, WithHint};

/// Steps before the clock starts.
const WARM_UP_STEPS: usize = 2;
/// The largest benchmark: these many trained numbers, and these many tokens a step.
const MOST_PARAMETERS: u64 = 2_000_000_000;
const MOST_TOKENS: u64 = 1 << 20;

/// Measures and prints.
pub fn run(args: &BenchTrainArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    check(args)?;
    let plan = plan(args);
    let work = TrainBenchWork {
        vocabulary: args.vocab as usize,
        batch: args.batch as usize,
        warm_up_steps: WARM_UP_STEPS,
        steps: args.steps as usize,
    };
    reset_peak_resident();
    let measured = train_bench(&plan, &work)?;
    let peak = peak_resident_bytes();
    if args.json {
        printer.json(to_json(args, &plan, &measured, peak))?;
    } else {
        printer.line(to_text(args, &measured, peak))?;
    }
    Ok(ExitStatus::Success)
}

fn plan(args: &BenchTrainArgs) -> TrainPlan {
    TrainPlan {
        shape: Shape {
            layers: args.layers as usize,
            width: args.width as usize,
            heads: args.heads as usize,
            key_value_heads: None,
            ffn: args.ffn as usize,
            context: args.sequence as usize,
            tied: true,
        },
        seed: args.seed,
        precision: args.precision.into(),
        device: args.device.into(),
        recompute: args.recompute,
        freeze: args.freeze.clone(),
        ..TrainPlan::default()
    }
}

/// Refuses what each argument alone allows and all together do not.
fn check(args: &BenchTrainArgs) -> anyhow::Result<()> {
    let (width, heads) = (args.width, args.heads);
    if !width.is_multiple_of(2 * heads) {
        return Err(anyhow::anyhow!(
            "`--width {width}` does not divide into `--heads {heads}`, each of an even number of channels"
        ))
        .hint(format!(
            "take a width that is a multiple of {}, such as {}",
            2 * heads,
            width.next_multiple_of(2 * heads)
        ));
    }
    let parameters = parameters(args);
    if parameters > MOST_PARAMETERS {
        bail!(
            "a model of this shape has {:.1} billion parameters; the benchmark takes {:.0} billion at most",
            parameters as f64 / 1e9,
            MOST_PARAMETERS as f64 / 1e9
        );
    }
    let tokens = u64::from(args.batch) * u64::from(args.sequence);
    if tokens > MOST_TOKENS {
        bail!(
            "`--batch {}` times `--sequence {}` are {tokens} tokens a step; the benchmark takes {MOST_TOKENS} at most",
            args.batch,
            args.sequence
        );
    }
    Ok(())
}

/// Numbers that are trained, norms not counted; the ranges of the arguments keep it far from overflow.
fn parameters(args: &BenchTrainArgs) -> u64 {
    let [width, layers, ffn, vocab] =
        [args.width, args.layers, args.ffn, args.vocab].map(u64::from);
    vocab * width + layers * width * (4 * width + 3 * ffn)
}

fn to_json(
    args: &BenchTrainArgs,
    plan: &TrainPlan,
    measured: &TrainBench,
    peak_rss_bytes: Option<u64>,
) -> serde_json::Value {
    json!({
        "width": args.width,
        "layers": args.layers,
        "heads": args.heads,
        "ffn": args.ffn,
        "vocab": args.vocab,
        "batch": args.batch,
        "sequence": args.sequence,
        "steps": args.steps,
        "warm_up_steps": WARM_UP_STEPS,
        "recompute": args.recompute,
        "freeze": args.freeze,
        "seed": args.seed,
        "learning_rate": plan.learning_rate,
        "weight_decay": plan.weight_decay,
        "clip": plan.clip,
        "parameters": measured.parameters,
        "trained_parameters": measured.trained_parameters,
        "tokens_per_second": measured.tokens_per_second,
        "peak_rss_bytes": peak_rss_bytes,
        "first_loss": measured.losses.first(),
        "last_loss": measured.losses.last(),
        "losses": measured.losses,
        "precision": measured.precision,
        "device": measured.device,
        "instruction_set": measured.instruction_set,
        "threads": measured.threads,
    })
}

fn to_text(args: &BenchTrainArgs, measured: &TrainBench, peak: Option<u64>) -> String {
    let BenchTrainArgs {
        width,
        layers,
        heads,
        ffn,
        vocab,
        batch,
        sequence,
        steps,
        ..
    } = args;
    let memory = peak.map_or_else(
        || "unknown".to_owned(),
        |bytes| format!("{:.0} MB at its peak", bytes as f64 / 1e6),
    );
    let frozen = measured.parameters - measured.trained_parameters;
    let frozen = match frozen {
        0 => String::new(),
        _ => format!(" ({:.1} M frozen)", frozen as f64 / 1e6),
    };
    let computed = match measured.instruction_set {
        Some(instructions) => format!("with {instructions} on {} threads", measured.threads),
        None => format!("on {}", measured.device),
    };
    let (first, last) = (measured.losses.first(), measured.losses.last());
    format!(
        "{:.1} M parameters{frozen}: width {width}, {layers} layers, {heads} heads, feed-forward {ffn}, vocabulary {vocab}\n\
         {steps} steps of {batch} texts of {sequence} tokens, after {WARM_UP_STEPS} that are not timed\n\
         training   {:.0} tokens a second\n\
         memory     {memory}\n\
         loss       {:.4} at the first step, {:.4} at the last\n\
         computed   {} {computed}",
        measured.parameters as f64 / 1e6,
        measured.tokens_per_second,
        first.unwrap_or(&f32::NAN),
        last.unwrap_or(&f32::NAN),
        measured.precision,
    )
}
