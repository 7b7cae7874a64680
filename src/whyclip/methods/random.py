"""Random: the control that every metric reports beside the methods."""

from __future__ import annotations

import hashlib

import torch
import torch.nn.functional as F

from whyclip.forward.forward_pass import Capture
from whyclip.methods.method import Method, Relevance, input_only

# Of waves a unit direction is away from zero, for one standard deviation of the phase. Prompts
# whose cosine is 0.98 get unrelated maps; the rounding of a batch (1e-7) moves nothing.
WAVES = 4.0


def random(capture: Capture, *, seed: int = 0) -> Relevance:
    """Draw relevance uniformly from 0 to 1, anew for every input and every target.

    ``H_i = |2 frac(u_i·d) − 1|`` with ``u_i`` normally distributed, drawn from a seed and the
    input's own content, and d the target: a random Fourier feature (Rahimi & Recht, NeurIPS
    2007). It is the same in every batch and on every machine, yet says nothing.

    Args:
        capture: the tower's forward pass.
        seed: gives other maps.
    """
    t = capture.content.shape[1]
    directions = F.normalize(capture.targets.directions.double().cpu(), dim=-1)
    maps = []
    for row, written in zip(capture.inputs.cpu(), capture.content.cpu(), strict=True):
        # Of a text its pieces alone: padding differs from library to library.
        content = row.float() if capture.side == "image" else row[written.nonzero()[:, 0]]
        digest = hashlib.blake2b(
            content.contiguous().numpy().tobytes(), digest_size=8, key=b"%d" % seed
        )
        generator = torch.Generator().manual_seed(int.from_bytes(digest.digest(), "big") >> 1)
        # Drawn for the whole context of a text, of which a batch may hold more or less.
        rows = t if capture.side == "image" else max(t, len(row))
        waves = torch.randn(rows, directions.shape[1], generator=generator, dtype=torch.float64)[:t]
        maps.append((2 * (WAVES * directions @ waves.T).frac().abs() - 1).abs())
    values = torch.stack(maps).to(capture.embedding)
    return Relevance(values, capture.embedding)


METHOD = Method(
    name="random",
    title="Random",
    source="a control",
    relevance=random,
    text_specific=True,
    signed=False,
    cost="1",
    scope="baseline",
    explains="nothing",
    reach=input_only,
    joint=True,
)
