"""Metrics of location, against loops over pixels, other libraries, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from whyclip.errors import InputError
from whyclip.metrics import METRICS

NAN = float("nan")
LOCATED = [name for name, metric in METRICS.items() if metric.needs == ("mask",)]


def value(name: str, heatmap: Tensor, mask: Tensor) -> Tensor:
    return METRICS[name].value(heatmap, mask)


def plain(name: str, heatmap: Tensor, mask: Tensor) -> float:
    """The definitions again, over Python lists of the pixels that were seen."""
    pixels = [
        (v, m)
        for v, m in zip(heatmap.flatten().tolist(), mask.flatten().tolist(), strict=True)
        if not math.isnan(v)
    ]
    if not any(m for _, m in pixels):
        return NAN
    mean = sum(v for v, _ in pixels) / len(pixels)
    cut = [(v > mean, m) for v, m in pixels]

    def overlap(of: bool) -> float:
        both = sum(c == of and m == of for c, m in cut)
        either = sum(c == of or m == of for c, m in cut)
        return both / either if either else NAN

    if name == "pointing_game":
        top = max(v for v, _ in pixels)
        at = [m for v, m in pixels if v == top]
        return sum(at) / len(at)
    if name == "energy_pointing":
        total = sum(max(v, 0) for v, _ in pixels)
        return sum(max(v, 0) for v, m in pixels if m) / total if total else 0.0
    if name == "pixel_accuracy":
        return sum(c == m for c, m in cut) / len(cut)
    if name == "iou":
        return overlap(True)
    if name == "miou":
        parts = [x for x in (overlap(True), overlap(False)) if not math.isnan(x)]
        return sum(parts) / len(parts)
    assert name == "average_precision"
    area, recall = 0.0, 0.0
    objects = sum(m for _, m in pixels)
    for threshold in sorted({v for v, _ in pixels}, reverse=True):
        kept = [m for v, m in pixels if v >= threshold]
        area += (sum(kept) / objects - recall) * sum(kept) / len(kept)
        recall = sum(kept) / objects
    return area


def random_pair(seed: int) -> tuple[Tensor, Tensor]:
    """A signed map with many ties and unseen parts, and a mask of any size."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 9, 2))
    heatmap = rng.normal(size=shape).astype(np.float32)
    if seed % 2:
        heatmap = np.maximum(heatmap, 0).round(1)
    heatmap[rng.random(shape) < (0, 0.3, 0.9)[seed % 3]] = np.nan
    return torch.from_numpy(heatmap), torch.from_numpy(rng.random(shape) < rng.random())


@pytest.mark.parametrize("name", LOCATED)
def test_the_same_as_a_loop_over_pixels(name: str) -> None:
    defined = 0
    for seed in range(60):
        heatmap, mask = random_pair(seed)
        expected = plain(name, heatmap, mask)
        result = value(name, heatmap, mask)
        assert result.dtype == torch.float32
        assert result.item() == pytest.approx(expected, abs=1e-6, nan_ok=True), seed
        defined += not math.isnan(expected)
    assert defined > 30


@pytest.mark.parametrize("name", LOCATED)
def test_many_at_once_are_one_by_one(name: str) -> None:
    heatmaps = torch.randn(2, 3, 5, 4)
    heatmaps[1, :, :2] = NAN
    masks = torch.rand(2, 3, 5, 4) < 0.4
    masks[0, 0] = False
    result = value(name, heatmaps, masks)
    alone = [[value(name, heatmaps[i, j], masks[i, j]) for j in range(3)] for i in range(2)]
    torch.testing.assert_close(result, torch.tensor(alone), equal_nan=True)
    assert result[0, 0].isnan()


# Of a constant map, and of an object that is a quarter of the image: what chance would have.
CONSTANT = {
    "pointing_game": 0.25,
    "energy_pointing": 0.25,
    "average_precision": 0.25,
    "pixel_accuracy": 0.75,
    "iou": 0.0,
    "miou": 0.375,
}


@pytest.mark.parametrize("name", LOCATED)
@pytest.mark.parametrize("constant", [1.0, 0.1, 1 / 3])
def test_a_constant_map(name: str, constant: float) -> None:
    mask = torch.zeros(226, 302, dtype=torch.bool)
    mask[:113, :151] = True
    result = value(name, torch.full((226, 302), constant), mask)
    assert result.item() == pytest.approx(CONSTANT[name], abs=1e-6)


@pytest.mark.parametrize("name", LOCATED)
def test_an_object_that_is_everything(name: str) -> None:
    heatmap = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    expected = {"pixel_accuracy": 0.25, "iou": 0.25, "miou": 0.125}.get(name, 1.0)
    everything = torch.ones(2, 2, dtype=torch.bool)
    assert value(name, heatmap, everything).item() == pytest.approx(expected)
    assert value(name, torch.zeros(2, 2), everything).item() == pytest.approx(
        0.0 if name not in {"pointing_game", "average_precision"} else 1.0
    )


@pytest.mark.parametrize("name", LOCATED)
def test_nothing_to_locate_is_no_number(name: str) -> None:
    heatmap, mask = torch.rand(4, 4), torch.zeros(4, 4, dtype=torch.bool)
    assert value(name, heatmap, mask).isnan()
    mask[0] = True
    heatmap[0] = NAN
    assert value(name, heatmap, mask).isnan(), "the object lies where the model never looked"
    assert value(name, torch.full((4, 4), NAN), mask).isnan()


@pytest.mark.parametrize("name", LOCATED)
def test_what_was_never_seen_changes_nothing(name: str) -> None:
    heatmap, mask = torch.randn(6, 6), torch.rand(6, 6) < 0.5
    wide = torch.cat([heatmap, torch.full((6, 3), NAN)], 1)
    truths = [torch.cat([mask, torch.full((6, 3), answer)], 1) for answer in (True, False)]
    alone = value(name, heatmap, mask)
    assert all(torch.isclose(value(name, wide, truth), alone) for truth in truths)


@pytest.mark.parametrize("name", LOCATED)
def test_a_perfect_map(name: str) -> None:
    mask = torch.rand(7, 7) < 0.3
    mask[0, 0], mask[6, 6] = True, False
    assert value(name, mask.float(), mask) == 1
    opposite = value(name, -mask.float(), mask).item()
    assert opposite <= (mask.float().mean().item() if name == "average_precision" else 0.0)


@pytest.mark.parametrize("name", LOCATED)
def test_what_does_not_fit_is_said(name: str) -> None:
    mask = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(InputError, match=r"\(2, 3\).*\(2, 2\)"):
        value(name, torch.rand(2, 3), mask)
    with pytest.raises(InputError, match="bool"):
        value(name, torch.rand(2, 2), mask.float())
    with pytest.raises(InputError, match="infinite"):
        value(name, torch.tensor([[1.0, float("inf")], [0.0, 0.0]]), mask)


def test_torchmetrics_says_the_same() -> None:
    from torchmetrics.functional import classification as functional

    generator = torch.Generator().manual_seed(3)
    for _ in range(10):
        heatmap = torch.rand(9, 11, generator=generator).mul(20).round() / 20
        mask = torch.rand(9, 11, generator=generator) < 0.4
        flat, truth = heatmap.flatten(), mask.flatten().int()
        above = (flat > flat.mean()).int()
        expected = {
            "average_precision": functional.binary_average_precision(flat, truth),
            "pixel_accuracy": functional.binary_accuracy(above, truth),
            "iou": functional.binary_jaccard_index(above, truth),
            "miou": functional.multiclass_jaccard_index(above, truth, 2, average="macro"),
        }
        for name, theirs in expected.items():
            torch.testing.assert_close(value(name, heatmap, mask), theirs, msg=name)


@pytest.mark.slow  # needs: pip install '.[quantus]'
def test_quantus_says_the_same() -> None:
    import quantus

    rng = np.random.default_rng(1)
    maps, masks = rng.random((6, 1, 8, 8)), rng.random((6, 1, 8, 8)) < 0.3
    quiet = {"disable_warnings": True, "abs": False, "normalise": False}
    inputs = {
        "model": None,
        "x_batch": maps,
        "y_batch": np.zeros(6, int),
        "a_batch": maps,
        "s_batch": masks,
    }
    pointing = quantus.PointingGame(weighted=False, **quiet)(**inputs)
    energy = quantus.AttributionLocalisation(**quiet)(**inputs)
    ours, truth = torch.from_numpy(maps[:, 0]).float(), torch.from_numpy(masks[:, 0])
    assert value("pointing_game", ours, truth).tolist() == [float(p) for p in pointing]
    np.testing.assert_allclose(value("energy_pointing", ours, truth), energy, rtol=1e-5)
