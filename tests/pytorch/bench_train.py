#!/usr/bin/env python3
"""Compares the training step of `limbeck bench train` with PyTorch: same weights, texts, optimizer and threads.

    tests/pytorch/run --limbeck target/release/limbeck

Both sides take two steps that are not timed and then ten that are, in turns, each time in a new process. PyTorch runs
as fast as it goes here: bf16 autocast, `torch.compile`, and a malloc that keeps its pages. On a processor without
bf16 `--precision f32` has both compute in f32, PyTorch compiled all the same. The peak of its resident
memory is taken after the steps that compile, that of Limbeck over its whole life. One more turn of PyTorch, plain and
in f32, is there for its losses. `--growth` adds how Limbeck alone grows with sequence, batch, width, vocabulary and
threads; `--endings` where trainings in f32 and bf16 end. Everything is printed as Markdown.
Exit code 0: Limbeck is at least as fast in at most half the memory, by medians of the turns' ratios, and its losses
are those of PyTorch; 1: it is not so.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time

SHAPES = {
    "A": {"width": 256, "layers": 6, "heads": 4, "ffn": 704, "vocab": 8192, "batch": 8, "sequence": 256},
    "B": {"width": 576, "layers": 8, "heads": 9, "ffn": 1536, "vocab": 16384, "batch": 4, "sequence": 256},
}
WARM_UP_STEPS = 2
# glibc gives large blocks back to the system at once otherwise, and the page faults of the next step cost a third of it.
KEEP_PAGES = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",
    "MALLOC_TRIM_THRESHOLD_": "2147483647",
    "MALLOC_TOP_PAD_": "268435456",
}
# How far the losses of a few steps may be apart, by what Limbeck computed in.
LOSS_TOLERANCE = {"f32": 1e-3, "bf16": 2e-2}


def main():
    arguments = read_arguments()
    if arguments.measure_peer:
        print(json.dumps(measure_pytorch(json.loads(arguments.measure_peer))))
        return 0
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}\n", flush=True)
    roof = measure_peer(arguments, {"roof": arguments.precision})["gigaflops"]
    print(f"{arguments.precision} matrix product in PyTorch, the roof: {roof:.0f} GFLOP/s\n", flush=True)
    held = [compare(arguments, shape, roof) for shape in arguments.shapes]
    if arguments.growth:
        growth(arguments, roof)
    if arguments.endings:
        endings(arguments)
    return 0 if all(held) else 1


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limbeck", default="target/release/limbeck", help="the program, a release build")
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=list(SHAPES), help="A has 6.9 M parameters, B 41 M")
    parser.add_argument("--precision", choices=["bf16", "f32"], default="bf16", help="of PyTorch; f32 is Limbeck's then too")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--growth", action="store_true", help="tables over sequence, batch, width, vocabulary, threads")
    parser.add_argument("--endings", action="store_true", help="where trainings in f32 and bf16 end, over seeds")
    parser.add_argument(
        "--limbeck-arguments", default="", help="more arguments for `limbeck bench train`, as one text"
    )
    parser.add_argument("--measure-peer", metavar="JSON", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.precision == "f32":
        arguments.limbeck_arguments += " --precision=f32"
    return arguments


def compare(arguments, name, roof):
    """Takes turns on one shape, prints what they measured, and says whether Limbeck holds its own."""
    shape = SHAPES[name]
    turns = []
    for turn in range(arguments.turns):
        sides = {
            "limbeck": lambda: measure_limbeck(arguments, shape),
            "pytorch": lambda: measure_peer(arguments, {"task": shape, "precision": arguments.precision, "compiled": True}),
        }
        # Whoever goes second may find a warmer or a busier machine, so the order changes.
        order = list(sides)[:: 1 if turn % 2 == 0 else -1]
        turns.append({side: sides[side]() for side in order})
        rates = ", ".join(f"{side} {turns[-1][side]['tokens_per_second']:,.0f}" for side in sides)
        print(f"shape {name}, turn {turn + 1}: {rates} tokens a second", flush=True)
    plain = measure_peer(arguments, {"task": shape, "precision": "f32", "compiled": False})
    return report(name, turns, plain, roof, arguments.precision)


def measure_limbeck(arguments, shape, threads=None):
    command = [arguments.limbeck, "bench", "train", "--json", f"--steps={arguments.steps}"]
    command += [f"--{name}={value}" for name, value in shape.items()] + arguments.limbeck_arguments.split()
    return run(command, {"RAYON_NUM_THREADS": str(threads or arguments.threads)})


def measure_peer(arguments, work):
    work = {"steps": arguments.steps, "threads": arguments.threads, **work}
    return run([sys.executable, __file__, "--measure-peer", json.dumps(work)], KEEP_PAGES)


def run(command, environment):
    """One measurement: the JSON that `command` prints."""
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    if result.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed:\n{result.stderr}")
    return json.loads(result.stdout)


def report(name, turns, plain, roof, precision):
    """Prints the medians of one shape."""
    ours, theirs = ([turn[side] for turn in turns] for side in ("limbeck", "pytorch"))
    one = ours[0]
    print(f"\nShape {name}, {one['parameters'] / 1e6:.1f} M parameters, {len(turns)} turns of {one['steps']} steps; ", end="")
    print(f"Limbeck in {one['precision']} with {one['instruction_set']} on {one['threads']} threads,")
    autocast = " autocast" if precision == "bf16" else ""
    print(f"PyTorch {theirs[0]['version']} in {precision}{autocast} with `torch.compile` on {theirs[0]['threads']} threads\n")
    print("| | Limbeck | PyTorch | ratio | smallest and largest |\n|---|---|---|---|---|")
    speed = row("tokens a second", "tokens_per_second", 1, ours, theirs)
    memory = row("peak memory, MB", "peak_rss_bytes", 1e6, ours, theirs)
    shares = [statistics.median(side["tokens_per_second"] for side in sides) * flops(one) / roof / 1e9 for sides in (ours, theirs)]
    print(f"| share of the {precision} roof | {shares[0]:.0%} | {shares[1]:.0%} | | |\n")
    away = {side: difference(one, other) for side, other in (("plain", plain), ("fast", theirs[0]))}
    print(f"Losses of {len(one['losses'])} steps, {one['losses'][0]:.4f} to {one['losses'][-1]:.4f}: ", end="")
    print(f"at most {away['plain']:.1e} from PyTorch in f32, {away['fast']:.1e} from what it was timed with\n", flush=True)
    return speed >= 1.0 and memory <= 0.5 and away["plain"] <= LOSS_TOLERANCE[one["precision"]]


def row(label, key, unit, ours, theirs):
    """Prints one line of the table; the median of the ratios, as neighbours in time share the machine's noise."""
    ratios = [our[key] / their[key] for our, their in zip(ours, theirs)]
    medians = [statistics.median(side[key] / unit for side in sides) for sides in (ours, theirs)]
    ratio = statistics.median(ratios)
    print(f"| {label} | {medians[0]:,.0f} | {medians[1]:,.0f} | {ratio:.2f} | {min(ratios):.2f}–{max(ratios):.2f} |")
    return ratio


def difference(ours, theirs):
    for name in ("seed", "learning_rate", "weight_decay", "clip"):
        if ours[name] != theirs[name]:
            sys.exit(f"the two sides trained with another `{name}`: {ours[name]} and {theirs[name]}")
    return max(abs(a - b) for a, b in zip(ours["losses"], theirs["losses"], strict=True))


def flops(shape):
    """Operations a token: two for each multiplication of a matrix, forward once and backward twice. Attention counts
    the half of the square that a causal model needs; nothing is counted twice that is computed twice."""
    width, layers = shape["width"], shape["layers"]
    matrices = shape["vocab"] * width + layers * width * (4 * width + 3 * shape["ffn"])
    return 6 * (matrices + layers * width * shape["sequence"])


def growth(arguments, roof):
    """Shape A with one thing changed at a time."""
    base = SHAPES["A"]
    tokens = base["batch"] * base["sequence"]
    sweeps = {
        "sequence, 2,048 tokens a step": [{"sequence": n, "batch": tokens // n} for n in (64, 128, 256, 512, 1024, 2048)],
        "batch": [{"batch": n} for n in (1, 2, 4, 8, 16, 32)],
        "width, with heads of 64 and a feed-forward of 11/4": [
            {"width": n, "heads": n // 64, "ffn": n * 11 // 4} for n in (128, 256, 512, 768)
        ],
        "vocabulary": [{"vocab": n} for n in (1024, 4096, 8192, 16384, 32768)],
        "threads": [{"threads": n + 1} for n in range(arguments.threads)],
    }
    for title, changes in sweeps.items():
        print(f"| {title} | tokens a second | GFLOP/s | share of the {arguments.precision} roof | peak memory, MB |\n|---|---|---|---|---|")
        for change in changes:
            shape = {**base, **change}
            threads = shape.pop("threads", None)
            measured = measure_limbeck(arguments, shape, threads)
            rate = measured["tokens_per_second"]
            reached = rate * flops(shape) / 1e9
            label = next(iter(change.values()))
            memory = measured["peak_rss_bytes"] / 1e6
            print(f"| {label:,} | {rate:,.0f} | {reached:,.0f} | {reached / roof:.0%} | {memory:,.0f} |", flush=True)
        print()


def endings(arguments):
    """Trainings that differ in nothing but what they are computed in, for several seeds of weights and texts."""
    shape = {"width": 128, "layers": 4, "heads": 4, "ffn": 352, "vocab": 512, "batch": 8, "sequence": 128}
    options = argparse.Namespace(**{**vars(arguments), "steps": 400, "limbeck_arguments": ""})
    print("| seed | mean of the last 100 losses in f32 | in bf16 | difference |\n|---|---|---|---|")
    ends = []
    for seed in range(1, 6):
        runs = [measure_limbeck(options, {**shape, "seed": seed, "precision": name}) for name in ("f32", "bf16")]
        ends.append([statistics.mean(run["losses"][-100:]) for run in runs])
        print(f"| {seed} | {ends[-1][0]:.4f} | {ends[-1][1]:.4f} | {ends[-1][1] - ends[-1][0]:+.4f} |", flush=True)
    away = statistics.mean(bf16 - f32 for f32, bf16 in ends)
    spread = statistics.stdev(f32 for f32, _ in ends)
    print(f"\nOn average bf16 ends {away:+.4f} from f32, where seeds have a standard deviation of {spread:.4f}\n", flush=True)


def measure_pytorch(work):
    """What `limbeck bench train --json` measures, in PyTorch; or the roof."""
    import torch

    torch.set_num_threads(work["threads"])
    if work.get("roof"):
        return {"gigaflops": measure_roof(torch, work["roof"])}
    import peer

    task = peer.Task(**work["task"])
    trained = peer.Peer(task, work["precision"], work["compiled"])
    losses = [trained.step(*trained.texts()) for _ in range(WARM_UP_STEPS)]
    reset_peak()
    seconds = 0.0
    for _ in range(work["steps"]):
        texts = trained.texts()
        start = time.perf_counter()
        losses.append(trained.step(*texts))
        seconds += time.perf_counter() - start
    return {
        **dataclasses.asdict(task),
        "tokens_per_second": work["steps"] * task.batch * task.sequence / seconds,
        "peak_rss_bytes": peak(),
        "losses": losses,
        "threads": torch.get_num_threads(),
        "version": torch.__version__.split("+")[0],
    }


def measure_roof(torch, precision):
    """The best of some large products, in GFLOP/s."""
    size = 2048
    number = {"bf16": torch.bfloat16, "f32": torch.float32}[precision]
    a, b = (torch.rand(size, size).to(number) for _ in range(2))
    best = float("inf")
    for _ in range(12):
        start = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best / 1e9


def reset_peak():
    """Forgets the peak of the resident memory, so that compiling does not count."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


if __name__ == "__main__":
    sys.exit(main())
