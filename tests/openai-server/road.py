"""Harvests from llama.cpp's server, is killed on the way, goes on, trains and exports; and checks what is kept.

    python road.py LIMBECK MODEL.gguf FOLDER

Exit code 0: everything holds; else the first thing that does not is named.
"""

import json
import math
import os
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

# Of the weights that the server runs; what may be trained on their answers depends on it.
LICENCE = os.environ.get("LICENSE", "apache-2.0")
PROMPTS = 24
# Of the suite, which the teacher answers as well.
MEASURED = 6
IN_FLIGHT = 4
MESSAGES = [
    ("The parcel came a week late and half of it was broken.", "negative"),
    ("What a lovely hotel, we will come again!", "positive"),
    ("Nobody answers the phone, I want my money back.", "negative"),
    ("Thank you, the new battery works perfectly.", "positive"),
    ("The soup was cold and the waiter was rude.", "negative"),
    ("Great service, my order was here the next day.", "positive"),
    ("The screen broke after two days.", "negative"),
    ("My children love this game.", "positive"),
    ("I waited an hour and nobody came.", "negative"),
    ("The best bread in town.", "positive"),
    ("They charged me twice and will not say why.", "negative"),
    ("Easy to set up, and it just works.", "positive"),
]
# What the teacher is shown before each message, and none of them.
EXAMPLES = [
    ("It stopped working on the first day.", "negative"),
    ("Lovely colours, and so soft.", "positive"),
    ("I am still waiting for an answer.", "negative"),
    ("The staff made us feel at home.", "positive"),
    ("Never again, what a waste of money.", "negative"),
    ("It does exactly what I need.", "positive"),
]
CHOICES = ["positive", "negative"]
# Labels of each kind that the teacher must give: one who always says the same would agree in fewer than below.
LEAST_OF_A_KIND = 3
# Share of the labels of people that the teacher must meet. Without a look at the message it is half of them.
LEAST_RIGHT = 0.9
# Share of the labels in which a student that has learnt these messages and no others must agree with its teacher.
LEAST_AGREEMENT = 0.9
# How far a probability that is kept may be from the one that the server tells when it is asked once more; its sums
# differ a little from one request to the next.
NEAR = 0.03

TEACHER = """\
[recipe]
name = "{name}"

[[teacher]]
name = "smollm2"
provider = "llamacpp"
model = "smollm2"
license = "{licence}"
base_url = "{base_url}"
limits = {{ concurrent = {in_flight} }}
timeout = {{ first_byte_s = 300.0, idle_s = 120.0, total_s = 600.0 }}
stream = {stream}
"""

STORIES = """
[harvest]
prompts = { source = "prompts.jsonl", license = "cc0-1.0", exclude_near = false }
form = "chat"
template = "Write two short sentences about a {{ hero }} and a {{ thing }}."
input = "{{ hero }}, {{ thing }}"
sampling = { temperature = 0.0, max_tokens = 24, top_logprobs = 5, seed = 1 }

[curate]

[student]
init = "scratch"
tokenizer = { train_bpe = 320 }
shape = { layers = 1, width = 32, heads = 2, ffn = 64, context = 192 }

[train]
objective = { cross_entropy = 1.0 }
epochs = 60
batch_tokens = 512

[[evaluate]]
name = "stories"
suite = { source = "suite.jsonl", license = "cc0-1.0" }
metric = "nats-per-byte"

[export]
formats = ["safetensors", "gguf:f16"]
"""

LABELS = """
[harvest]
prompts = { source = "messages.jsonl", license = "cc0-1.0", exclude_near = false }
form = "completion"
template = "Message: {{ text }}\\nSentiment:"
examples = "examples.jsonl"
input = "{{ text }}"
choices = ["positive", "negative"]

[curate]

[student]
init = "scratch"
tokenizer = { train_bpe = 320 }
shape = { layers = 1, width = 64, heads = 2, ffn = 128, context = 96 }

[train]
objective = { forward_kl = 1.0 }
epochs = 60
batch_tokens = 256
held_out = 0.0

[[evaluate]]
name = "labels"
suite = { source = "messages.jsonl", license = "cc0-1.0", expected = "{{ label }}" }
metric = "accuracy"

[export]
formats = ["safetensors", "gguf:f16"]
"""


def main():
    limbeck, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3]) / "road"
    folder.mkdir()
    with Server(model, folder) as server:
        write_projects(server, folder)
        report = harvest_killed_and_resumed(limbeck, server, folder)
        check_answers(server, folder / "stories" / "limbeck.db")
        check_second_run(limbeck, server, folder)
        check_labels(limbeck, server, folder)
    check_student(limbeck, folder, report)
    print("all of it holds")


class Server:
    """llama.cpp's server on a free port, with its log in a file."""

    def __init__(self, model, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}/v1"
        self.log = folder / "server.log"
        command = [sys.executable, "-m", "llama_cpp.server", "--model", model, "--model_alias", "smollm2"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--n_ctx", "1024", "--logits_all", "true"]
        # Without this a new request ends the stream of the one before.
        command += ["--interrupt_requests", "false"]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def __enter__(self):
        until = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"{self.base_url}/models", timeout=5).read()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > until:
                    sys.exit(f"the server does not answer:\n{self.log.read_text()[-2000:]}")
                time.sleep(0.5)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def asked(self):
        """How many questions it has answered."""
        lines = self.log.read_text().splitlines()
        return sum("POST /v1/chat/completions" in line and '" 200' in line for line in lines)

    def ask(self, body, path="chat/completions"):
        request = urllib.request.Request(
            f"{self.base_url}/{path}",
            json.dumps({"model": "smollm2", **body}).encode(),
            {"content-type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request, timeout=300))

    def likelihoods(self, text):
        """How likely each choice is after a message, by what the server tells of its first token."""
        told = [f"Message: {shown}\nSentiment: {answer}" for shown, answer in EXAMPLES]
        prompt = "\n\n".join([*told, f"Message: {text}\nSentiment:"])
        body = {"prompt": prompt, "max_tokens": 1, "temperature": 0.0, "logprobs": 20}
        [likely] = self.ask(body, "completions")["choices"][0]["logprobs"]["top_logprobs"]
        mass = dict.fromkeys(CHOICES, 0.0)
        for token, value in likely.items():
            begun = [choice for choice in CHOICES if token.strip() and choice.startswith(token.strip())]
            if len(begun) == 1:
                mass[begun[0]] += math.exp(value)
        return mass


def write_projects(server, folder):
    heroes = ["fox", "girl", "robot", "sailor", "baker", "king"]
    things = ["lamp", "boat", "letter", "drum"]
    rows = [{"hero": hero, "thing": thing} for hero in heroes for thing in things]
    assert len(rows) == PROMPTS
    write_rows(folder / "prompts.jsonl", rows)
    write_rows(folder / "messages.jsonl", [{"text": text, "label": label} for text, label in MESSAGES])
    write_rows(folder / "examples.jsonl", [{"text": text, "answer": answer} for text, answer in EXAMPLES])
    # Other pairs than those that are learnt from.
    write_rows(folder / "suite.jsonl", [{"hero": hero, "thing": "bell"} for hero in heroes])
    for name, stream, rest in [("stories", "true", STORIES), ("labels", "false", LABELS)]:
        head = TEACHER.format(
            name=name, base_url=server.base_url, in_flight=IN_FLIGHT, stream=stream, licence=LICENCE
        )
        (folder / f"{name}.toml").write_text(head + rest)


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(limbeck, folder, *arguments):
    done = subprocess.run([limbeck, *arguments], cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"`{' '.join(arguments)}` ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def rows(store, query):
    if not store.exists():
        return []
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=30) as database:
        return database.execute(query).fetchall()


def answered(store):
    try:
        return {prompt for (prompt,) in rows(store, "SELECT prompt_id FROM traces")}
    except sqlite3.OperationalError:
        # The tables are still being made.
        return set()


def harvest_killed_and_resumed(limbeck, server, folder):
    """Kills the harvest when a third of the answers is there, and lets the whole road go on from it."""
    store = folder / "stories" / "limbeck.db"
    command = [limbeck, "harvest", "stories.toml", "--workdir", "stories", "--progress", "none"]
    harvest = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    while len(answered(store)) < PROMPTS // 3:
        if harvest.poll() is not None:
            sys.exit(f"the harvest ended before it was killed:\n{harvest.stderr.read()}")
        time.sleep(0.1)
    harvest.kill()
    harvest.wait()
    kept = answered(store)
    out = run(limbeck, folder, "run", "stories.toml", "--workdir", "stories", "--progress", "none", "--json")
    lost = kept - answered(store)
    assert not lost, f"{len(lost)} answers were lost"
    attempts = dict(rows(store, "SELECT prompt_id, count(*) FROM attempts GROUP BY prompt_id"))
    again = [prompt for prompt in kept if attempts[prompt] != 1]
    assert not again, f"{len(again)} answers were asked for again"
    more = server.asked() - PROMPTS - MEASURED
    assert 0 <= more <= IN_FLIGHT, f"{more} questions more than there are"
    report = json.loads(out)
    print(f"killed with {len(kept)} of {PROMPTS} answers kept; none lost, none asked again, {more} were in flight")
    return report


def check_answers(server, store):
    """Every prompt is answered once, as the server would answer it to anybody, and its receipt says from where."""
    answers = rows(
        store,
        "SELECT traces.id, prompts.input, traces.text, finish_reason, prompt_tokens, completion_tokens, "
        "mean_log_probability FROM traces JOIN prompts ON prompts.id = prompt_id ORDER BY prompts.input",
    )
    assert len(answers) == PROMPTS + MEASURED == len({row[1] for row in answers})
    tokens = dict(rows(store, "SELECT trace_id, length(encoded) FROM token_log_probabilities"))
    means = []
    for trace, told, text, finish, read, written, mean in answers:
        assert text.strip() and finish in ("stop", "length"), (told, text, finish)
        assert tokens.get(trace, 0) > 0, f"no log-probabilities for {told}: {text}"
        assert mean is not None and -3 < mean < 0, (told, mean)
        # Its streams end without a usage, so what was read is not known, and what was written is counted.
        assert read == 0 and 0 < written <= 24, (told, read, written)
        means.append(mean)
    print(f"{len(answers)} prompts are answered once; log-probability of a token: {min(means):.2f} to {max(means):.2f}")

    told, text, mean = (answers[0][index] for index in (1, 2, 6))
    hero, thing = told.split(", ")
    body = {
        "messages": [{"role": "user", "content": f"Write two short sentences about a {hero} and a {thing}."}],
        "temperature": 0.0, "max_tokens": 24, "logprobs": True, "top_logprobs": 5,
    }  # fmt: skip
    choice = server.ask(body)["choices"][0]
    assert choice["message"]["content"].strip() == text.strip(), (choice["message"]["content"], text)
    values = [token["logprob"] for token in choice["logprobs"]["content"]]
    # Kept to 1/4096 of a nat; the server's sums differ a little from one request to the next.
    assert abs(sum(values) / len(values) - mean) < 0.02, (sum(values) / len(values), mean)
    print(f"asked once more in one piece, the server says the same: {text.strip()!r}, {mean:.3f}")

    receipts = rows(
        store,
        "SELECT provider, model, endpoint, request_id, answered_model, request_sha256, response_sha256 FROM receipts",
    )
    assert len(receipts) == PROMPTS + MEASURED
    for provider, model, endpoint, request_id, answered_model, asked, said in receipts:
        assert (provider, model) == ("llamacpp", "smollm2"), (provider, model)
        assert endpoint.endswith("/v1/chat/completions"), endpoint
        assert request_id and answered_model and len(asked) == len(said) == 64, (request_id, answered_model)
    assert len({row[6] for row in receipts}) == len(receipts), "no two responses are the same bytes"
    print(f"{len(receipts)} receipts name the endpoint, the request, the model that answered and both digests")


def check_second_run(limbeck, server, folder):
    before = server.asked()
    out = run(limbeck, folder, "run", "stories.toml", "--workdir", "stories", "--progress", "none", "--json")
    report = json.loads(out)
    assert server.asked() == before, "the second run asked again"
    assert report["harvest"]["asked"] == 0, report["harvest"]
    print("a second run asks nothing")


def check_labels(limbeck, server, folder):
    out = run(limbeck, folder, "run", "labels.toml", "--workdir", "labels", "--progress", "none", "--json")
    store = folder / "labels" / "limbeck.db"
    labels = rows(
        store,
        "SELECT prompts.input, text, choice_log_probabilities, token.encoded IS NOT NULL FROM traces "
        "JOIN prompts ON prompts.id = prompt_id LEFT JOIN token_log_probabilities token ON token.trace_id = traces.id",
    )
    people = dict(MESSAGES)
    assert sorted(row[0] for row in labels) == sorted(people), labels
    furthest = 0.0
    for told, label, kept, has_tokens in labels:
        assert has_tokens and kept is not None and len(kept) == 4 * len(CHOICES), (told, kept)
        kept = dict(zip(CHOICES, map(math.exp, struct.unpack(f"<{len(CHOICES)}f", kept))))
        # What is neither is left to neither.
        assert sum(kept.values()) < 1.001, (told, kept)
        assert label == max(kept, key=kept.get), f"{told}: {label} is not the likeliest of {kept}"
        told_again = server.likelihoods(told)
        furthest = max(furthest, *(abs(kept[choice] - told_again[choice]) for choice in CHOICES))
        assert furthest < NEAR, f"{told}: {kept} is kept, and the server says {told_again}"
    given = [row[1] for row in labels]
    counts = {choice: given.count(choice) for choice in CHOICES}
    right = sum(people[told] == label for told, label, *_ in labels) / len(labels)
    suite = json.loads(out)["evaluate"]["suites"][0]
    teacher, student, agreement = suite["teacher"]["score"], suite["student"]["score"], suite["agreement"]["share"]
    print(f"{len(labels)} labels ({counts}), each with its tokens and a distribution within {furthest:.3f} of what the server ", end="")
    print(f"says again; right: {teacher:.0%} of the teacher's, {student:.0%} of the student's, ", end="")
    print(f"which agrees with the teacher in {agreement:.0%}")
    assert min(counts.values()) >= LEAST_OF_A_KIND, f"the teacher cannot tell the messages apart: {counts}"
    assert right >= LEAST_RIGHT and abs(teacher - right) < 1e-6, (right, suite)
    assert suite["n"] == len(MESSAGES) and agreement >= LEAST_AGREEMENT, suite


def check_student(limbeck, folder, report):
    export = folder / "stories" / "export"
    files = sorted(path.name for path in export.iterdir())
    assert "model.safetensors" in files and any(name.endswith("-F16.gguf") for name in files), files
    suite = report["evaluate"]["suites"][0]
    student, untrained = suite["student"]["score"], suite["floors"][0]["score"]
    # Those of the teacher's answers that were cut off are left out of it.
    assert 0 < suite["n"] <= MEASURED and 0 < student < untrained, suite
    curve = [point["train_loss"] for point in report["train"]["curve"]]
    assert curve[-1] < 0.8 * curve[0], (curve[0], curve[-1])
    said = subprocess.run(
        [limbeck, "chat", folder / "stories" / "student"], input="fox, lamp\n", capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() and not said.stderr, said
    print(f"a student was trained (loss {curve[0]:.2f} to {curve[-1]:.2f}), measured ({student:.2f} nats a byte, {untrained:.2f} before) and exported")
    print(f"({', '.join(files)}); it says: {said.stdout.strip()[:100]!r}")


if __name__ == "__main__":
    main()
