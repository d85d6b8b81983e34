"""Loads exported traces with the libraries that people use, and compares what each sees."""

import json
import sys
from collections import Counter
from pathlib import Path

import datasets
import pandas
import pyarrow.parquet

folder = Path(sys.argv[1])
with open(folder / "traces.jsonl", encoding="utf-8") as file:
    lines = [json.loads(line) for line in file]
assert lines, "no traces"


def plain(row):
    """A row as both files tell it: the receipt is JSON text in Parquet, and an object in JSON lines."""
    row = json.loads(json.dumps(row, default=lambda array: array.tolist()))
    if isinstance(row["receipt"], str):
        row["receipt"] = json.loads(row["receipt"])
    return row


def compare(name, rows):
    rows = [plain(row) for row in rows]
    assert len(rows) == len(lines), f"{name}: {len(rows)} rows instead of {len(lines)}"
    for number, (row, line) in enumerate(zip(rows, lines), 1):
        assert row == line, f"{name}, row {number}:\n{row}\ninstead of\n{line}"
    print(f"  {name}: {len(rows)} rows, the same")


parquet = str(folder / "traces.parquet")
compare("pyarrow", pyarrow.parquet.read_table(parquet).to_pylist())
frame = pandas.read_parquet(parquet)
compare("pandas", frame.astype(object).where(frame.notna(), None).to_dict("records"))
loaded = datasets.load_dataset("parquet", data_files=parquet, split="train")
compare("datasets, Parquet", loaded)
assert loaded[0]["messages"][-1]["role"] == "assistant"
loaded = datasets.load_dataset("json", data_files=str(folder / "traces.jsonl"), split="train")
# Here every row has every key that any row has, so only the texts can be compared.
assert [row["messages"] for row in loaded] == [line["messages"] for line in lines]
print(f"  datasets, JSON lines: {len(loaded)} rows, the same messages")

with open(folder / "again.jsonl", encoding="utf-8") as file:
    again = [json.loads(line) for line in file]
conversation = lambda row: json.dumps([row["messages"], row["reasoning"]])
assert Counter(map(conversation, again)) == Counter(map(conversation, lines)), "the round trip changed a text"
print(f"  exported, imported and exported again: {len(again)} rows, the same texts")
