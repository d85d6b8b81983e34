#!/usr/bin/env python3
"""Compares the speed of `limbeck bench decode` with llama.cpp: the same file, machine, threads and numbers of tokens.

    python tests/llama-cpp/bench_decode.py target/release/limbeck MODEL.gguf [--sequences 1 8 32]

Run it with a Python that has `llama-cpp-python` built on this machine, so that llama.cpp uses its instructions.
Both sides read a prompt of 32 tokens for each sequence and then write 48 tokens of each, one of every sequence at a step,
with all their logits. They take turns, each time in a new process. `--peer-format` gives llama.cpp a copy of the
weights in another format, made by its own quantiser: some formats have faster kernels there than others.
Exit code 0: Limbeck is at least as fast, by the median of the turns' ratios; 1: it is not.
"""

import argparse
import ctypes
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

RATES = {"prompt_tokens_per_second": "prompt processing", "tokens_per_second": "decoding"}


def main():
    arguments = read_arguments()
    if arguments.measure_peer:
        print(json.dumps(measure_llama_cpp(arguments)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        peer_model = peer_copy(arguments, folder)
        # A list, so that every number is measured even where one falls short.
        fast_enough = [compare(arguments, peer_model, sequences) for sequences in arguments.sequences]
        return 0 if all(fast_enough) else 1


def compare(arguments, peer_model, sequences):
    """Takes turns, prints what they measured, and says whether Limbeck is at least as fast."""
    counts = [f"--sequences={sequences}", f"--prompt={arguments.prompt}", f"--new={arguments.new}"]
    ours = [arguments.limbeck, "bench", "decode", arguments.model, *counts, "--json"]
    ours += [f"--precision={arguments.precision}"]
    theirs = [sys.executable, __file__, arguments.limbeck, peer_model, *counts, "--measure-peer"]
    theirs += [f"--threads={arguments.threads}", f"--flash-attention={arguments.flash_attention}"]
    print(f"sequences: {sequences}; load of the machine before: {os.getloadavg()[0]:.1f}", flush=True)
    turns = []
    for turn in range(arguments.turns):
        # Whoever goes second may find a warmer or a busier machine, so the order changes.
        sides = [("limbeck", ours), ("llama.cpp", theirs)]
        results = {name: run(command, arguments.threads) for name, command in sides[:: 1 if turn % 2 == 0 else -1]}
        turns.append(results)
        print_turn(turn + 1, results)
    return print_medians(turns)


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("limbeck", help="the program, a release build")
    parser.add_argument("model", help="a GGUF file")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--sequences", type=int, nargs="+", default=[32], help="how many at once; one comparison each")
    parser.add_argument("--prompt", type=int, default=32)
    parser.add_argument("--new", type=int, default=48)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--flash-attention", choices=("auto", "on", "off"), default="auto", help="of llama.cpp")
    parser.add_argument("--peer-format", choices=("same", "bf16", "q4_0", "q8_0"), default="same", help="of llama.cpp")
    parser.add_argument("--precision", choices=("auto", "f32", "bf16", "integer"), default="auto", help="of Limbeck")
    parser.add_argument("--measure-peer", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run(command, threads):
    """One measurement: the JSON that `command` prints."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode != 0:
        sys.exit(f"`{' '.join(command)}` failed:\n{result.stderr}")
    return json.loads(result.stdout)


def peer_copy(arguments, folder):
    """The file that llama.cpp reads."""
    if arguments.peer_format == "same":
        return arguments.model
    import llama_cpp as api

    copy = os.path.join(folder, "copy.gguf")
    settings = api.llama_model_quantize_default_params()
    settings.ftype = getattr(api, f"LLAMA_FTYPE_MOSTLY_{arguments.peer_format.upper()}")
    settings.allow_requantize = settings.pure = True
    silence(api)
    if api.llama_model_quantize(arguments.model.encode(), copy.encode(), settings) != 0:
        sys.exit(f"llama.cpp cannot turn `{arguments.model}` into {arguments.peer_format}")
    return copy


@functools.cache
def silence(api):
    """Stops the log of llama.cpp. The cache keeps the callback, which llama.cpp holds on to."""
    callback = api.llama_log_callback(lambda level, text, data: None)
    api.llama_log_set(callback, ctypes.c_void_p(0))
    return callback


def print_turn(number, results):
    rates = "  ".join(
        f"{name} {result['prompt_tokens_per_second']:6.0f} and {result['tokens_per_second']:6.0f}"
        for name, result in sorted(results.items(), reverse=True)
    )
    print(f"turn {number}: {rates}  (prompt and decoded tokens a second)", flush=True)


def print_medians(turns):
    """Prints a table, and says whether Limbeck is at least as fast in everything."""
    print(f"{'median of ' + str(len(turns)):<20}{'limbeck':>10}{'llama.cpp':>12}{'ratio':>8}  {'ratios of the turns':>20}")
    fast_enough = True
    for rate, label in RATES.items():
        ours, theirs = ([turn[side][rate] for turn in turns] for side in ("limbeck", "llama.cpp"))
        ratios = [our / their for our, their in zip(ours, theirs)]
        # Neighbours in time share the machine's noise, so the turns are compared one by one.
        ratio = statistics.median(ratios)
        fast_enough &= ratio >= 1.0
        span = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{label:<20}{statistics.median(ours):>10,.0f}{statistics.median(theirs):>12,.0f}{ratio:>8.2f}  {span:>20}")
    print(flush=True)
    return fast_enough


def measure_llama_cpp(arguments):
    """What `limbeck bench decode --json` measures, in llama.cpp. Only its own calls are timed, not Python's loops."""
    import llama_cpp as api

    silence(api)
    api.llama_backend_init()
    model = api.llama_model_load_from_file(arguments.model.encode(), api.llama_model_default_params())
    if not model:
        sys.exit(f"llama.cpp cannot load `{arguments.model}`")
    count = arguments.sequences[0]
    sequences, prompt = range(count), range(arguments.prompt)
    settings = api.llama_context_default_params()
    settings.n_ctx = count * (arguments.prompt + arguments.new + 1)
    settings.n_seq_max = count
    settings.n_threads = settings.n_threads_batch = arguments.threads
    settings.flash_attn_type = {
        "auto": api.LLAMA_FLASH_ATTN_TYPE_AUTO,
        "on": api.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off": api.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }[arguments.flash_attention]
    context = api.llama_init_from_model(model, settings)
    batch = api.llama_batch_init(settings.n_batch, 0, 1)

    def decode(rows):
        """Seconds for rows of (token, position, sequence, whether its logits are wanted)."""
        seconds = 0.0
        for first in range(0, len(rows), settings.n_batch):
            part = rows[first : first + settings.n_batch]
            batch.n_tokens = len(part)
            for i, (token, position, sequence, logits) in enumerate(part):
                batch.token[i], batch.pos[i], batch.logits[i] = token, position, logits
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
            start = time.perf_counter()
            status = api.llama_decode(context, batch)
            api.llama_synchronize(context)
            seconds += time.perf_counter() - start
            if status != 0:
                sys.exit(f"llama_decode returned {status}")
        return seconds

    def read_prompts():
        last = arguments.prompt - 1
        return decode([(100 + i + s, i, s, i == last) for s in sequences for i in prompt])

    def write_tokens(step):
        return decode([(200 + step + s, arguments.prompt + step, s, True) for s in sequences])

    # The first time warms caches and memory up and is thrown away.
    read_prompts()
    write_tokens(0)
    api.llama_memory_clear(api.llama_get_memory(context), True)
    prompt_seconds = read_prompts()
    seconds = sum(write_tokens(step) for step in range(arguments.new))
    return {
        "prompt_tokens_per_second": len(sequences) * len(prompt) / prompt_seconds,
        "tokens_per_second": len(sequences) * arguments.new / seconds,
        "system": api.llama_print_system_info().decode(),
    }


if __name__ == "__main__":
    sys.exit(main())
