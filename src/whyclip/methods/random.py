"""Random: the baseline of every metric."""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance, input_only

# Standard deviation of a unit direction's phase, in waves. Prompts whose cosine is 0.98 get
# unrelated maps; rounding differences between batches (1e-7) have no effect.
WAVES = 4.0


def random(forward_pass: ForwardPass, *, seed: int = 0) -> Relevance:
    """Draw relevance uniformly from 0 to 1, independently for each input and target.

    ``H_i = |2 frac(u_i·d) − 1|`` with ``u_i`` normally distributed, drawn from a seed and the
    input's own content, and d the target: a random Fourier feature (Rahimi & Recht, NeurIPS
    2007). It is the same in every batch and on every machine.

    Args:
        forward_pass: the encoder's forward pass.
        seed: random seed.
    """
    t = forward_pass.content_mask.shape[1]
    directions = F.normalize(forward_pass.targets.directions.double().cpu(), dim=-1)
    maps = []
    for row, written in zip(
        forward_pass.inputs.cpu(), forward_pass.content_mask.cpu(), strict=True
    ):
        # Only the pieces of a text count, because padding differs between libraries.
        content = row.float() if forward_pass.side == "image" else row[written.nonzero()[:, 0]]
        digest = hashlib.blake2b(
            content.contiguous().numpy().tobytes(), digest_size=8, key=b"%d" % seed
        )
        generator = torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big") >> 1)
        # Drawn for a text's whole context, because batches keep different parts of it.
        rows = t if forward_pass.side == "image" else max(t, len(row))
        waves = torch.randn(rows, directions.shape[1], generator=generator, dtype=torch.float64)[:t]
        maps.append((2 * (WAVES * directions @ waves.T).frac().abs() - 1).abs())
    values = torch.stack(maps).to(forward_pass.embedding)
    return Relevance(values, forward_pass.embedding)


METHOD = Method(
    name="random",
    title="Random",
    source="a random baseline",
    relevance=random,
    text_specific=True,
    signed=False,
    cost="1",
    scope="baseline",
    explains="nothing",
    blocks_needed=input_only,
    all_targets_at_once=True,
)
