"""Compares the requests a second of `limbeck harvest` and of litellm against the same server, in turns.

See `run`, which makes what this needs. Exit code 0: the median of the turns' ratios and the memory of the large
harvest are what docs/performance.md says of them (`--least-ratio`, `--most-mb`); 1: they are not.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = """\
[recipe]
name = "pace"

[[teacher]]
name = "service"
provider = "compatible"
model = "m"
base_url = "{base_url}"
limits = {{ concurrent = {in_flight} }}
stream = false

[harvest]
prompts = {{ source = "prompts.jsonl", license = "cc0-1.0", exclude_near = false }}
form = "chat"
template = "{{{{ text }}}}"
sampling = {{ temperature = 1.0, max_tokens = 20 }}
"""


def main():
    arguments = read_arguments()
    server = subprocess.Popen(
        [arguments.server, str(arguments.wait_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        base_url = server.stdout.readline().strip()
        return compare(arguments, base_url)
    finally:
        server.stdin.close()
        server.wait()


def compare(arguments, base_url):
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}; {os.cpu_count()} processors", flush=True)
    rates = {"limbeck": [], "litellm": []}
    work = {"limbeck": [], "litellm": []}
    for turn in range(arguments.turns):
        # Whoever goes second may find a busier machine, so the order changes.
        for side in ["limbeck", "litellm"][:: 1 if turn % 2 == 0 else -1]:
            if side == "limbeck":
                result = harvest(arguments, base_url, arguments.prompts)
            else:
                result = ask_through_litellm(arguments, base_url)
            rates[side].append(result["requests_per_second"])
            work[side].append(result["processor_ms"])
            print(
                f"turn {turn + 1}, {side}: {result['requests_per_second']:,.0f} requests/s, "
                f"{result['processor_ms']:.2f} ms of a processor for each, {result['peak_mb']:.0f} MB",
                flush=True,
            )
    ratios = [ours / theirs for ours, theirs in zip(rates["limbeck"], rates["litellm"])]
    ratio = statistics.median(ratios)
    for side, values in rates.items():
        processor = statistics.median(work[side])
        print(f"{side}: {statistics.median(values):,.0f} requests/s, {processor:.2f} ms of a processor for each (medians)")
    print(f"ratio: {ratio:.1f} (median; {min(ratios):.1f} to {max(ratios):.1f})")
    large = harvest(arguments, base_url, arguments.large)
    print(
        f"{arguments.large:,} prompts: {large['requests_per_second']:,.0f} requests/s, "
        f"at most {large['peak_mb']:.0f} MB of memory, {large['store_mb']:.0f} MB of store"
    )
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
    return 0 if ratio >= arguments.least_ratio and large["peak_mb"] <= arguments.most_mb else 1


def harvest(arguments, base_url, prompts):
    """A harvest in a new folder: the time of the whole command, from its start to its end."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        folder = Path(folder)
        (folder / "recipe.toml").write_text(RECIPE.format(base_url=base_url, in_flight=arguments.in_flight))
        with open(folder / "prompts.jsonl", "w") as file:
            file.writelines(json.dumps({"text": f"question {number}"}) + "\n" for number in range(prompts))
        command = [arguments.limbeck, "harvest", "recipe.toml", "--workdir", "work", "--progress", "none"]
        begun = time.perf_counter()
        _, peak, processor = run_measured(command, folder)
        seconds = time.perf_counter() - begun
        store = sum(file.stat().st_size for file in (folder / "work").glob("limbeck.db*"))
        answered = count_answers(folder / "work" / "limbeck.db")
        assert answered == prompts, f"{answered} of {prompts} answers are in the store"
    return {
        "requests_per_second": prompts / seconds,
        "processor_ms": 1000 * processor / prompts,
        "peak_mb": peak,
        "store_mb": store / 1e6,
    }


def run_measured(command, folder):
    """Runs a command: what it printed, the most memory that it held in MB, and its seconds of a processor."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=errors)
        printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            errors.seek(0)
            said = errors.read().decode()
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said}")
    return printed, usage.ru_maxrss * 1024 / 1e6, usage.ru_utime + usage.ru_stime


def count_answers(store):
    import sqlite3

    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM traces").fetchone()[0]


def ask_through_litellm(arguments, base_url):
    client = Path(__file__).with_name("client.py")
    command = [sys.executable, client, base_url, str(arguments.requests), str(arguments.in_flight)]
    printed, peak, _ = run_measured(command, arguments.folder)
    return {**json.loads(printed.splitlines()[-1]), "peak_mb": peak}


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("limbeck", type=os.path.abspath, help="the program, a release build")
    parser.add_argument("server", type=os.path.abspath, help="the built `server.rs`")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=20_000, help="prompts of each harvest")
    parser.add_argument("--requests", type=int, default=2_000, help="requests through litellm in each turn")
    parser.add_argument("--large", type=int, default=100_000, help="prompts of the harvest whose memory is measured")
    parser.add_argument("--in-flight", type=int, default=256)
    parser.add_argument("--wait-ms", type=int, default=10, help="after how long the server answers")
    parser.add_argument("--least-ratio", type=float, default=20.0)
    parser.add_argument("--most-mb", type=float, default=300.0)
    parser.add_argument("--folder", help="where the work folders are made; their disk counts")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
