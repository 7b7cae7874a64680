"""Deleted pixels show the chosen fill, in particular the true background."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whyclip.errors import InputError, OptionError
from whyclip.metrics import METRICS, get_metric
from whyclip.metrics.deletion import deletion_edits
from whyclip.metrics.fills import with_fill
from whyclip.metrics.insertion import insertion_edits
from whyclip.perturbation.fills import FILLS, filled

SIDE = 20
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
BEHIND = RNG.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
MAP = RNG.permutation(SIDE * SIDE).reshape(SIDE, SIDE).astype(np.float32)


def test_deleted_pixels_show_the_background_and_the_others_the_image() -> None:
    edits = list(get_metric("deletion_background").edits(IMAGE, MAP, seed=0, background=BEHIND))  # type: ignore[misc]
    for number, edited in enumerate(edits):
        gone = number * 20
        for y in range(SIDE):
            for x in range(SIDE):
                deleted = MAP[y, x] >= SIDE * SIDE - gone
                expected = BEHIND[y, x] if deleted else IMAGE[y, x]
                assert (edited[y, x] == expected).all()


def test_insertion_starts_from_the_background_and_ends_with_the_image() -> None:
    edits = list(insertion_edits(IMAGE, MAP, fill="background", background=BEHIND))
    assert (edits[0] == BEHIND).all()
    assert (edits[-1] == IMAGE).all()
    shown = (edits[3] == IMAGE).all(-1)
    assert shown[MAP >= SIDE * SIDE - 60].all()


@pytest.mark.parametrize("fill", ["black", "blurred"])
def test_other_fills_are_those_of_fills(fill: str) -> None:
    [*_, last] = deletion_edits(IMAGE, MAP, fill=fill)  # type: ignore[arg-type]
    gone = MAP >= SIDE * SIDE / 2
    assert (last[gone] == filled(IMAGE, fill)[gone]).all()  # type: ignore[arg-type]
    assert (last[~gone] == IMAGE[~gone]).all()


def test_every_name_leads_to_its_metric() -> None:
    for metric in ("deletion", "insertion"):
        for fill in set(FILLS) - {"mean"}:
            assert with_fill(metric, fill) in METRICS
    assert with_fill("deletion", "random") == "deletion"
    assert with_fill("insertion", "black") == "insertion"


def test_a_fill_that_is_the_image_changes_nothing() -> None:
    metric = get_metric("deletion_background")
    score = lambda images: torch.tensor([float(x.mean()) for x in images])  # noqa: E731
    value = metric.measure(IMAGE, MAP, score=score, seed=0, background=IMAGE)
    assert float(value) == pytest.approx(float(IMAGE.mean()), rel=1e-6)


def test_a_missing_or_wrong_background_is_named() -> None:
    with pytest.raises(InputError, match="needs the image without its objects"):
        deletion_edits(IMAGE, MAP, fill="background")
    with pytest.raises(InputError, match="background of shape"):
        deletion_edits(IMAGE, MAP, fill="background", background=BEHIND[:5])
    with pytest.raises(OptionError, match="unknown metric"):
        get_metric("deletion_mean")
