"""Checks the documents of an export, and a Croissant beside exported traces, with the libraries of their makers.

    check.py EXPORT FOLDER-WITH-CROISSANT
"""

import base64
import json
import sys
from pathlib import Path

import mlcroissant
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1 import statement_pb2

IN_TOTO = "application/vnd.in-toto+json"


def bill_of_materials(export: Path) -> None:
    text = (export / "bom.cdx.json").read_text(encoding="utf-8")
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    assert error is None, error
    print("the bill of materials is CycloneDX 1.6")


def statements(export: Path) -> None:
    ledger = json.loads((export / "ledger.json").read_text(encoding="utf-8"))
    # NAME+ID+BASE64, where the first byte of the key says Ed25519.
    key = base64.b64decode(ledger["key"].split("+", 2)[2])
    assert key[0] == 1
    key = Ed25519PublicKey.from_public_bytes(key[1:])
    for name in ["training", "verdict"]:
        envelope = json.loads((export / f"{name}.intoto.json").read_text(encoding="utf-8"))
        assert envelope["payloadType"] == IN_TOTO
        payload = base64.b64decode(envelope["payload"])
        signed = f"DSSEv1 {len(IN_TOTO)} {IN_TOTO} {len(payload)} ".encode() + payload
        key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed)
        statement = json_format.Parse(payload, statement_pb2.Statement())
        assert statement.type == "https://in-toto.io/Statement/v1"
        assert len(statement.subject) > 0
        predicate = json.loads(payload)["predicate"]
        if statement.predicate_type == "https://slsa.dev/provenance/v1":
            json_format.ParseDict(predicate, provenance_pb2.Provenance())
        else:
            assert statement.predicate_type == "https://in-toto.io/attestation/svr/v0.1"
            assert predicate["verifier"]["id"] and predicate["timeCreated"]
            assert all(isinstance(name, str) for name in predicate["properties"])
        print(f"{name}.intoto.json is signed and of type {statement.predicate_type}")


def croissant(folder: Path) -> None:
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    issues = dataset.metadata.ctx.issues
    assert not issues.errors and not issues.warnings, issues.report()
    rows = (folder / "traces.jsonl").read_text(encoding="utf-8").splitlines()
    records = list(dataset.records(record_set="traces"))
    assert len(records) == len(rows) > 0, (len(records), len(rows))
    first = json.loads(rows[0])
    assert records[0]["traces/prompt_id"].decode() == first["prompt_id"], records[0]
    messages = [
        {"role": turn["traces/messages/role"].decode(), "content": turn["traces/messages/content"].decode()}
        for turn in records[0]["traces/messages"]
    ]
    assert messages == first["messages"], records[0]
    assert records[0]["traces/usage"]["traces/usage/prompt_tokens"] == first["usage"]["prompt_tokens"], records[0]
    assert records[0]["traces/receipt"]["traces/receipt/model"].decode() == first["receipt"]["model"], records[0]
    checks = [verdict["traces/verdicts/check"].decode() for verdict in records[0]["traces/verdicts"]]
    assert checks == [verdict["check"] for verdict in first["verdicts"]], records[0]
    print(f"croissant.json describes {len(records)} traces, and nothing is amiss in it")


if __name__ == "__main__":
    bill_of_materials(Path(sys.argv[1]))
    statements(Path(sys.argv[1]))
    croissant(Path(sys.argv[2]))
