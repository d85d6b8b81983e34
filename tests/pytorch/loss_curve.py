#!/usr/bin/env python3
"""Makes `student/src/train/bench/loss_curve.json`: the losses of 200 steps of a small model in PyTorch, in f32.

    python tests/pytorch/loss_curve.py > student/src/train/bench/loss_curve.json

The tests of `student` hold Limbeck's own losses to them. Rate and decay are larger than the trainer's, so that an
update without its clipping, decay or corrections leaves the curve. On standard error: how far PyTorch's own f32 is
from its f64, which is the noise that the test's tolerance must leave room for.
"""

import dataclasses
import json
import platform
import sys

import numpy
import torch
import transformers

import peer

TASK = peer.Task(
    width=64, layers=2, heads=4, ffn=160, vocab=256, batch=4, sequence=64, learning_rate=3e-3, weight_decay=0.1, clip=0.5
)
STEPS = 200


def curve(precision):
    model = peer.Peer(TASK, precision)
    return [model.step(*model.texts()) for _ in range(STEPS)]


def main():
    torch.set_num_threads(1)
    losses, exact = curve("f32"), curve("f64")
    noise = max(abs(a - b) for a, b in zip(losses, exact))
    print(f"f32 is at most {noise:.1e} away from f64; losses {losses[0]:.3f} to {losses[-1]:.3f}", file=sys.stderr)
    versions = {"python": platform.python_version(), "numpy": numpy.__version__}
    versions |= {"torch": torch.__version__, "transformers": transformers.__version__}
    made = {
        "made_by": "tests/pytorch/loss_curve.py",
        "versions": versions,
        "processor": platform.machine(),
        **dataclasses.asdict(TASK),
        "losses": [round(loss, 7) for loss in losses],
    }
    print(json.dumps(made, indent=1))


if __name__ == "__main__":
    main()
