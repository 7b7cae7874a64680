"""Occlusion: score drop when a window of patches is covered."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance, input_only
from whyclip.methods.perturb import AT_ONCE, at_least_one, chunks, count_of, grid_of, on_patches


def occlusion(
    forward_pass: ForwardPass, *, window: int = 3, stride: int = 1, batch_size: int = AT_ONCE
) -> Relevance:
    """Average the score drop over all covering windows that contain a patch.

    ``H_i = mean over windows W ∋ i of S(x) − S(x with W at the mean colour)``; the mean colour
    of the model's preprocessing is 0 after it. Zeiler & Fergus, ECCV 2014 (arXiv 1311.2901),
    section 4.2.

    Args:
        forward_pass: the encoder's forward pass.
        window: side of the window, in patches.
        stride: step of the window in patches, at most ``window``; the last window of a row or
            column ends at the border.
        batch_size: number of images encoded at once.

    Raises:
        OptionError: a window larger than the grid, or a stride that skips patches.
    """
    at_least_one(window=window, stride=stride, batch_size=batch_size)
    gh, gw = grid_of(forward_pass)
    if window > min(gh, gw):
        raise OptionError(f"window={window}: the image has {gh}×{gw} patches")
    if stride > window:
        raise OptionError(f"stride={stride}: with window={window} it must be 1 to {window}")
    pixels, side = forward_pass.inputs, forward_pass.tower.patch * window  # type: ignore[attr-defined]
    step = side // window
    places = [(y, x) for y in starts(gh, window, stride) for x in starts(gw, window, stride)]
    jobs = [(i, y, x) for i in range(len(pixels)) for y, x in places]

    def covered() -> Iterator[Tensor]:
        for part in chunks(jobs, batch_size):
            batch = pixels[[i for i, _, _ in part]]
            for image, (_, y, x) in zip(batch, part, strict=True):
                image[:, y * step : y * step + side, x * step : x * step + side] = 0
            yield batch

    score = forward_pass.targets.score(forward_pass.embedding)
    total = score.new_zeros(*score.shape, gh, gw)
    count = score.new_zeros(gh, gw)
    for y, x in places:
        count[y : y + window, x : x + window] += 1
    encoded = forward_pass.encode_batches(covered(), count_of(jobs, batch_size), "covering")
    for part, embeddings in zip(chunks(jobs, batch_size), encoded, strict=True):
        scores = forward_pass.targets.score(embeddings)
        for (i, y, x), left in zip(part, scores, strict=True):
            total[i, :, y : y + window, x : x + window] += (score[i] - left)[:, None, None]
    return Relevance(on_patches(forward_pass, (total / count).flatten(2)), forward_pass.embedding)


def starts(length: int, window: int, stride: int) -> list[int]:
    """Start positions of windows along one axis; the last window ends at the border."""
    last = length - window
    return [*range(0, last, stride), last]


METHOD = Method(
    name="occlusion",
    title="Occlusion",
    source="Zeiler & Fergus, ECCV 2014, arXiv 1311.2901",
    relevance=occlusion,
    text_specific=True,
    signed=True,
    cost="1 + one per window (144 on a 14×14 grid)",
    scope="score",
    explains="the model itself, as a black box",
    sides=("image",),
    slow=True,
    blocks_needed=input_only,
    all_targets_at_once=True,
)
