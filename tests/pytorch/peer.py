"""What `limbeck bench train` does, in PyTorch: a Llama of transformers from the same weights, on the same texts.

AdamW decays the matrices of the linear layers alone, not the embeddings (which are the head) nor the norms, and the
gradient is scaled down to a global norm, as in Limbeck's trainer.
"""

import contextlib
import dataclasses
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from transformers import LlamaConfig, LlamaForCausalLM

import generated

BETAS = (0.9, 0.95)
EPSILON = 1e-8
DTYPES = {"f64": torch.float64, "f32": torch.float32, "bf16": torch.float32}


@dataclasses.dataclass
class Task:
    """The model, the work of a step and the optimizer; the names are those that `limbeck bench train --json` prints."""

    width: int = 256
    layers: int = 6
    heads: int = 4
    ffn: int = 704
    vocab: int = 8192
    batch: int = 8
    sequence: int = 256
    seed: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip: float = 1.0


class Peer:
    """A model in training. `precision` is `f32`, `f64`, or `bf16` for f32 weights under autocast."""

    def __init__(self, task, precision="f32", compiled=False):
        self.task, self.precision, self.taken = task, precision, 0
        self.model = model(task).to(DTYPES[precision]).train()
        matrices = [p for name, p in self.model.named_parameters() if p.dim() > 1 and "embed_tokens" not in name]
        others = [p for name, p in self.model.named_parameters() if p.dim() == 1 or "embed_tokens" in name]
        groups = [{"params": matrices, "weight_decay": task.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=task.learning_rate, betas=BETAS, eps=EPSILON, fused=True)
        self.loss = torch.compile(self._loss) if compiled else self._loss

    def _loss(self, inputs, targets):
        logits = self.model(inputs, use_cache=False).logits
        if logits.dtype == torch.bfloat16:
            logits = logits.float()
        return torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), targets.view(-1))

    def texts(self):
        """What the next step reads and predicts."""
        task = self.task
        texts = generated.texts(task.seed, self.taken * task.batch, task.batch, task.sequence + 1, task.vocab)
        tokens = torch.from_numpy(texts)
        return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def step(self, inputs, targets):
        """The loss of the batch, before the update."""
        bf16 = self.precision == "bf16"
        with torch.autocast("cpu", dtype=torch.bfloat16) if bf16 else contextlib.nullcontext():
            loss = self.loss(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.task.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.taken += 1
        return loss.item()


def model(task):
    """The Llama with the generated weights, in f32."""
    config = LlamaConfig(
        hidden_size=task.width,
        num_hidden_layers=task.layers,
        num_attention_heads=task.heads,
        num_key_value_heads=task.heads,
        intermediate_size=task.ffn,
        vocab_size=task.vocab,
        max_position_embeddings=task.sequence,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        attn_implementation="sdpa",
    )
    llama = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in llama.named_parameters():
            values = generated.weight(task.seed, name, tuple(parameter.shape), task.layers)
            parameter.copy_(torch.from_numpy(values))
    return llama
