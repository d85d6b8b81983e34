"""Compares an exported Hugging Face folder in transformers with what Limbeck computes for the same folder.

    limbeck probe FOLDER --requests REQUESTS.jsonl > PROBE.jsonl
    python check.py FOLDER PROBE.jsonl

Each line of PROBE.jsonl is one request as Limbeck saw it: `input` and its `input_tokens`, `prompt` (the input in the
chat template) and its `tokens`, `logits` (the whole vocabulary, for the next token), and the greedy answer as `greedy`
(token ids) with `gaps` (how far the best logit was above the second, a step each) and as `text`. Exit code 0: they
agree; 1: they do not.
"""

import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

# Both sides compute in f32 with the same weights; see docs/verification.md for what was measured.
MAX_LOG_PROBABILITY_DIFFERENCE = 1e-4
MAX_MEAN_KL = 1e-8
NEGLIGIBLE_PROBABILITY = 1e-6


def main(folder, probe_path):
    with open(probe_path, encoding="utf-8") as file:
        probes = [json.loads(line) for line in file]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    failures, differences, divergences, close_calls, hostile = [], [0.0], [], 0, 0
    for index, probe in enumerate(probes):
        is_hostile = spells_control_token(tokenizer, probe["input"])
        hostile += is_hostile
        problems = compare_reading(tokenizer, probe, is_hostile)
        difference, kl = compare_log_probabilities(model, probe)
        differences.append(difference)
        divergences.append(kl)
        parted = first_difference(model, probe)
        if parted is not None and probe["gaps"][parted] < MAX_LOG_PROBABILITY_DIFFERENCE:
            close_calls += 1
        elif parted is not None:
            problems.append(f"greedy answers part at step {parted}")
        failures += [f"request {index}: {problem}" for problem in problems]
    worst, mean_kl = max(differences), sum(divergences) / max(len(probes), 1)
    if not probes:
        failures.append("the probe file holds no request")
    if not worst <= MAX_LOG_PROBABILITY_DIFFERENCE:
        failures.append(f"log-probabilities differ by {worst}")
    if not abs(mean_kl) <= MAX_MEAN_KL:
        failures.append(f"mean KL is {mean_kl}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(
        f"transformers: {len(probes)} requests ({hostile} spell control tokens), largest log-probability difference "
        f"{worst:.2e}, mean KL {mean_kl:.2e}, {close_calls} close calls, {len(failures)} failures"
    )
    return 1 if failures else 0


def read(tokenizer, text, plain):
    """Token ids; with `plain`, nothing in the text counts as a control token."""
    return tokenizer(text, add_special_tokens=False, split_special_tokens=plain)["input_ids"]


def spells_control_token(tokenizer, text):
    return read(tokenizer, text, True) != read(tokenizer, text, False)


def compare_reading(tokenizer, probe, is_hostile):
    """How transformers reads and writes the request otherwise.

    Limbeck never reads control tokens out of a request. transformers reads the whole prompt at once and would, so the
    ids of a prompt whose request spells one are not compared, only those of the request alone, read as plain text.
    """
    problems = []
    messages = [{"role": "user", "content": probe["input"]}]
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    pairs = [("prompt", prompt, probe["prompt"])]
    pairs.append(("input's tokens", read(tokenizer, probe["input"], True), probe["input_tokens"]))
    if not is_hostile:
        pairs.append(("prompt's tokens", read(tokenizer, prompt, False), probe["tokens"]))
    pairs.append(("answer's text", tokenizer.decode(probe["greedy"], skip_special_tokens=True), probe["text"]))
    for what, theirs, ours in pairs:
        if theirs != ours:
            problems.append(f"the {what} is {theirs!r} in transformers, {ours!r} in Limbeck")
    return problems


def compare_log_probabilities(model, probe):
    """Largest difference over the tokens that matter, and KL(Limbeck || transformers)."""
    with torch.inference_mode():
        theirs = model(torch.tensor([probe["tokens"]])).logits[0, -1].double().log_softmax(-1)
    ours = torch.tensor(probe["logits"], dtype=torch.float64).log_softmax(-1)
    if ours.shape != theirs.shape:
        return float("inf"), float("inf")
    gap = ours - theirs
    difference = gap[ours.exp() > NEGLIGIBLE_PROBABILITY].abs().max().item()
    return difference, (ours.exp() * gap).sum().item()


def first_difference(model, probe):
    """The step at which the greedy answers part, if they do."""
    greedy = probe["greedy"]
    tokens = torch.tensor([probe["tokens"]])
    with torch.inference_mode():
        answer = model.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=len(greedy), do_sample=False
        )
    theirs = answer[0, tokens.shape[1] :].tolist()
    return next((i for i, token in enumerate(greedy) if i >= len(theirs) or theirs[i] != token), None)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
