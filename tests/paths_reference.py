"""Readout paths by their formula, carried backwards from the embedding, in float64.

Nothing here calls whyclip or the libraries' forward passes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

import reference
from reference import PlainTower


def back_through_norm(g: Tensor, x: Tensor, pair: tuple[Tensor, Tensor]) -> Tensor:
    """Transpose of ``u -> (u − mean u) / σ(x) ⊙ weight`` applied to rows ``[e, w]``."""
    deviation = torch.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
    weighed = g * pair[0] / deviation
    return weighed - weighed.mean(-1, keepdim=True)


def secants(z: Tensor, quick: bool) -> Tensor:
    """f(z)/z, number by number: a sigmoid, or the normal distribution's integral."""
    slopes = [
        1 / (1 + math.exp(-1.702 * n)) if quick else (1 + math.erf(n / math.sqrt(2))) / 2
        for n in z.tolist()
    ]
    return torch.tensor(slopes, dtype=torch.float64)


def backwards(tower: PlainTower, x: Tensor, row: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each token's vector ``[t, e]``, the sum of all biases' and the embedding, in float64."""
    layers = []
    for block in tower.blocks:
        update, trace = reference.attend(tower, block, x, row, tower.heads)
        y = x + update
        z = reference.norm(y, block.norm2) @ block.w1.T + block.b1
        layers.append((block, x, trace, y, z))
        x = y + reference.activation(z, tower.quick) @ block.w2.T + block.b2
    end = x[row]
    g = back_through_norm(tower.projection, end, tower.final_norm)
    vectors = torch.zeros(len(x), len(tower.projection), dtype=torch.float64)
    biases = tower.projection @ tower.final_norm[1]
    for block, entered, trace, y, z in reversed(layers):
        slope = secants(z[row], tower.quick)
        biases = biases + g @ (block.w2 @ (slope * block.b1) + block.b2)
        biases = biases + g @ (block.w2 @ (slope * (block.w1 @ block.norm2[1])))
        g = g + back_through_norm((g @ block.w2) * slope @ block.w1, y[row], block.norm2)
        biases = biases + g @ block.bo
        width = len(block.wo) // tower.heads
        value_gradient = torch.zeros(len(g), len(block.wv), dtype=torch.float64)
        for h, weights in enumerate(trace.rows[row]):
            lanes = slice(h * width, (h + 1) * width)
            for j, weight in enumerate(weights):
                if j != row:
                    vectors[j] += g @ (block.wo[:, lanes] @ (weight * trace.v[j, lanes]))
            value_gradient[:, lanes] = weights[row] * (g @ block.wo[:, lanes])
        biases = biases + value_gradient @ (block.wv @ block.norm1[1] + block.bv)
        g = g + back_through_norm(value_gradient @ block.wv, entered[row], block.norm1)
    vectors[row] += g @ layers[0][1][row]
    return vectors, biases, tower.projection @ reference.norm(end, tower.final_norm)
