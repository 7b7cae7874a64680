"""RISE: average random masks, weighted by the scores of the masked images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance, input_only
from whyclip.methods.perturb import AT_ONCE, at_least_one, grid_of, on_patches


def rise(
    forward_pass: ForwardPass,
    *,
    masks: int = 4000,
    cells: int = 8,
    p: float = 0.5,
    seed: int = 0,
    batch_size: int = AT_ONCE,
) -> Relevance:
    """Average random masks, each weighted by the score of the masked image.

    ``H = Σ_k S(x ⊙ M_k) M_k / (N p)`` over pixels; its mean over each patch is returned.
    A mask is a ``cells × cells`` grid of ones (probability p) and zeros, enlarged bilinearly
    to one cell more than the image and cropped at a random shift; hidden pixels have the mean
    colour. All images and targets share the masks. Petsiuk et al., BMVC
    2018 (arXiv 1806.07421), eq. 6 and section 3.2.

    Args:
        forward_pass: the encoder's forward pass.
        masks: number of masks N.
        cells: rows and columns of the small grid.
        p: probability that a cell is visible, above 0 and at most 1.
        seed: random seed of the masks.
        batch_size: number of images encoded at once.

    Raises:
        OptionError: an option is out of range.
    """
    at_least_one(masks=masks, cells=cells, batch_size=batch_size)
    if not 0 < p <= 1:
        raise OptionError(f"p={p!r}: give a probability above 0 and at most 1")
    pixels, (gh, gw) = forward_pass.inputs, grid_of(forward_pass)
    drawn = Masks(masks, cells, p, seed, pixels)
    starts = range(0, masks, batch_size)
    buffer = pixels.new_empty(min(masks, batch_size), *pixels.shape[1:])

    def seen_through() -> Iterator[Tensor]:
        for start in starts:
            mask = drawn.at(slice(start, start + batch_size))[:, None]
            for image in pixels:
                yield torch.mul(image, mask, out=buffer[: len(mask)])

    encoded = forward_pass.encode_batches(seen_through(), len(starts) * len(pixels), "masking")
    patch = forward_pass.tower.patch  # type: ignore[attr-defined]
    total = forward_pass.embedding.new_zeros(len(pixels), len(forward_pass.targets), gh * gw)
    for start in starts:
        share = drawn.at(slice(start, start + batch_size), (gh, gw, patch)).flatten(1)
        for i in range(len(pixels)):
            total[i] += forward_pass.targets.score(next(encoded)).T @ share
    next(encoded, None)  # closes the progress bar
    return Relevance(on_patches(forward_pass, total / (masks * p)), forward_pass.embedding)


class Masks:
    """Random masks, drawn at once and enlarged on demand.

    Bilinear enlargement multiplies the small grid by a matrix on each side. The mean over patches
    does the same, so it is cheap.
    """

    def __init__(self, masks: int, cells: int, p: float, seed: int, pixels: Tensor) -> None:
        generator = torch.Generator().manual_seed(seed)
        size = pixels.shape[-2:]
        device = pixels.device
        self.grids = (torch.rand(masks, cells, cells, generator=generator) < p).to(device)
        self.shifts, self.enlarge = [], []
        for length in size:
            cell = -(-length // cells)
            drawn = torch.randint(cell, (masks,), generator=generator)
            eye = torch.eye(cells, device=device)[None]
            larger = F.interpolate(eye, size=(cells + 1) * cell, mode="linear")[0]
            # All crops of the larger grid: [cell, length, cells].
            self.enlarge.append(larger.unfold(1, length, 1)[:, :cell].permute(1, 2, 0))
            self.shifts.append(drawn.to(device))

    def at(self, part: slice, patches: tuple[int, int, int] | None = None) -> Tensor:
        """Return masks ``[k, H, W]``, or their means ``[k, gh, gw]`` over ``(gh, gw, side)``."""
        down, across = (
            (table if patches is None else mean_rows(table, patches[axis], patches[2]))[shift[part]]
            for axis, (table, shift) in enumerate(zip(self.enlarge, self.shifts, strict=True))
        )
        return down @ self.grids[part].to(down) @ across.transpose(1, 2)


def mean_rows(table: Tensor, count: int, side: int) -> Tensor:
    """Mean over each group of ``side`` rows: ``[c, length, s]`` to ``[c, count, s]``."""
    return table[:, : count * side].unflatten(1, (count, side)).mean(2)


METHOD = Method(
    name="rise",
    title="RISE",
    source="Petsiuk et al., BMVC 2018, arXiv 1806.07421",
    relevance=rise,
    text_specific=True,
    signed=True,
    cost="1 + masks (4000)",
    scope="score",
    explains="the model itself, as a black box",
    sides=("image",),
    slow=True,
    blocks_needed=input_only,
    all_targets_at_once=True,
)
