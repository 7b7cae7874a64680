"""KernelSHAP: Shapley values of the cells of an image or the words of a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance, input_only
from whyclip.methods.perturb import (
    AT_ONCE,
    at_least_one,
    chunks,
    count_of,
    grid_of,
    without,
)

_TURN = Lock()


def kernel_shap(
    forward_pass: ForwardPass,
    *,
    samples: int = 1024,
    cells: int = 7,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> Relevance:
    """Estimate Shapley values of image cells or words by weighted regression.

    ``min_φ Σ_z π(z) (S(x_z) − S(x_0) − Σ_f z_f φ_f)²`` over coalitions z of
    visible features, with ``Σ_f φ_f = S(x) − S(x_0)`` exactly. Lundberg & Lee, NeurIPS 2017
    (arXiv 1705.07874), theorem 2, with the library ``shap``. Hidden cells have the mean colour, and
    hidden words are removed; x_0 hides everything. The value of a cell or word is divided equally
    among its patches or pieces. Values are exact if ``samples`` covers all coalitions (up to 10
    words).

    Args:
        forward_pass: the encoder's forward pass.
        samples: number of coalitions per image or text.
        cells: rows and columns of the grid of cells, at most one cell per patch.
        seed: random seed of the coalitions.
        batch_size: number of inputs encoded at once.

    Raises:
        OptionError: the package ``shap`` is not installed, or an option is out of range.
    """
    at_least_one(samples=samples, cells=cells, batch_size=batch_size)
    score = forward_pass.targets.score(forward_pass.embedding)
    values = score.new_zeros(*score.shape, forward_pass.content_mask.shape[1])
    for i, row in enumerate(values):
        if forward_pass.side == "image":
            groups, show = cells_shown(forward_pass, i, cells)
        else:
            groups, show = words_shown(forward_pass, i)
        if not groups:
            continue

        def scores(coalitions: Any, show: Callable[[Tensor], Tensor] = show) -> Any:
            kept = torch.as_tensor(np.asarray(coalitions)) > 0.5
            batches: Iterator[Tensor] = map(show, chunks(kept, batch_size))  # type: ignore[arg-type]
            embeddings = forward_pass.encode(batches, count_of(kept, batch_size), "coalitions")  # type: ignore[arg-type]
            return forward_pass.targets.score(embeddings).double().cpu().numpy()

        shared = _shapley(scores, len(groups), samples, seed)
        for group, value in zip(groups, torch.as_tensor(shared).to(row), strict=True):
            row[:, list(group)] = (value / len(group))[:, None]
    return Relevance(values, forward_pass.embedding)


def _shapley(scores: Callable[[Any], Any], features: int, samples: int, seed: int) -> Any:
    """Compute Shapley values ``[f, n]`` from scores ``[m, n]`` of coalitions ``[m, f]``.

    The library uses NumPy's global generator, so it is seeded here and restored afterwards, in one
    thread at a time.
    """
    needed = min(2 * features, 2**features - 2)
    if samples < needed:
        raise OptionError(f"samples={samples}: {features} features need {needed} or more")
    try:
        from shap import KernelExplainer
    except ImportError as error:
        raise OptionError(
            "method 'kernel_shap' needs the package shap: pip install 'whyclip[shap]'"
        ) from error
    with _TURN:
        before = np.random.get_state()
        np.random.seed(seed % 2**32)
        try:
            explainer = KernelExplainer(scores, np.zeros((1, features)))
            values = explainer.shap_values(
                np.ones((1, features)), nsamples=samples, l1_reg=False, silent=True
            )
        finally:
            np.random.set_state(before)
    return np.asarray(values)[0]


def cells_shown(
    forward_pass: ForwardPass, i: int, cells: int
) -> tuple[Sequence[Sequence[int]], Callable[[Tensor], Tensor]]:
    """Token positions of each cell, and a function that shows only some cells."""
    gh, gw = grid_of(forward_pass)
    side = forward_pass.tower.patch  # type: ignore[attr-defined]
    rows, columns = min(cells, gh), min(cells, gw)
    down, across = torch.arange(gh) * rows // gh, torch.arange(gw) * columns // gw
    cell_of = (down[:, None] * columns + across).flatten()
    tokens = forward_pass.content_mask[0].nonzero()[:, 0].cpu()
    groups = [tokens[cell_of == cell].tolist() for cell in range(rows * columns)]
    image = forward_pass.inputs[i]

    def show(kept: Tensor) -> Tensor:
        visible = kept[:, cell_of].view(-1, 1, gh, gw).to(image)
        visible = visible.repeat_interleave(side, 2).repeat_interleave(side, 3)
        shown = image.repeat(len(kept), 1, 1, 1)
        shown[:, :, : gh * side, : gw * side] *= visible
        return shown

    return groups, show


def words_shown(
    forward_pass: ForwardPass, i: int
) -> tuple[Sequence[Sequence[int]], Callable[[Tensor], Tensor]]:
    """Token positions of each word, and a function that keeps only some words."""
    words, ids = forward_pass.words[i], forward_pass.inputs[i]

    def show(kept: Tensor) -> Tensor:
        gone = [
            [at for word, stays in zip(words, row, strict=True) if not stays for at in word]
            for row in kept.tolist()
        ]
        return torch.stack([without(ids, positions, forward_pass.pad) for positions in gone])

    return words, show


METHOD = Method(
    name="kernel_shap",
    title="KernelSHAP",
    source="Lundberg & Lee, NeurIPS 2017, arXiv 1705.07874; by the library shap",
    relevance=kernel_shap,
    text_specific=True,
    signed=True,
    cost="1 + samples (1024) for each image or text",
    scope="score",
    explains="the model itself, as a black box",
    sums_to="score − score with nothing shown",
    slow=True,
    blocks_needed=input_only,
    all_targets_at_once=True,
    needs="shap",
)
