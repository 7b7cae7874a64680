"""Confidence, sensitivity-n, infidelity and correlations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from whyclip.errors import InputError
from whyclip.metrics import METRICS
from whyclip.metrics.confidence import confidence_drop, confidence_increase, relevant_part
from whyclip.metrics.removal import infidelity, removal_edits, sensitivity_n
from whyclip.stats.correlation import pearson, spearman

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(1, 256, (28, 42, 3), dtype=np.uint8)


def additive(weights):
    """A model whose score is linear in the pixels, so that relevance can be exact."""

    def score(images):
        return torch.tensor([float((image[..., 0] * weights).sum()) for image in images])

    return score


def test_exact_relevance_of_a_linear_model_foretells_everything() -> None:
    weights = RNG.normal(size=IMAGE.shape[:2])
    exact = weights * IMAGE[..., 0]
    for name, good in (("sensitivity_n", 1.0), ("infidelity", 0.0)):
        metric = METRICS[name]
        measured = [
            metric.measure(IMAGE, values, score=additive(weights), fill="black").item()
            for values in (exact, RNG.normal(size=exact.shape), -exact)
        ]
        scale = 1 if name == "sensitivity_n" else measured[1]
        assert measured[0] / scale == pytest.approx(good, abs=1e-3)
        assert abs(measured[1] / scale - good) > 0.3
    assert METRICS["sensitivity_n"].measure(
        IMAGE, -exact, score=additive(weights), fill="black"
    ).item() == pytest.approx(-1, abs=1e-3)


def test_a_set_takes_away_what_its_cells_hold() -> None:
    heatmap = RNG.normal(size=IMAGE.shape[:2]).astype(np.float32)
    edits = removal_edits(IMAGE, heatmap, n=7, samples=9, grid=14, fill="black", seed=2)
    images = list(edits)
    np.testing.assert_array_equal(images[0], IMAGE)
    assert edits.amounts[0] == 0
    for image, amount in zip(images[1:], edits.amounts[1:].tolist(), strict=True):
        gone = (image == 0).all(-1)
        assert gone.sum() == 7 * 2 * 3
        blocks = gone.reshape(14, 2, 14, 3).mean((1, 3))
        assert set(np.unique(blocks)) == {0.0, 1.0}
        assert heatmap[gone].sum() / 6 == pytest.approx(amount, rel=1e-4)
    assert len({image.tobytes() for image in images}) == 10


def test_sets_do_not_depend_on_the_map_and_spare_what_was_not_seen() -> None:
    one = removal_edits(IMAGE, np.ones(IMAGE.shape[:2]), seed=4)
    two = removal_edits(IMAGE, RNG.normal(size=IMAGE.shape[:2]), seed=4)
    np.testing.assert_array_equal(list(one), list(two))
    half = np.ones(IMAGE.shape[:2])
    half[:, :21] = np.nan
    for image in removal_edits(IMAGE, half, n=500, samples=3, fill="black"):
        np.testing.assert_array_equal(image[:, :21], IMAGE[:, :21])
    with pytest.raises(InputError, match="NaN everywhere"):
        removal_edits(IMAGE, np.full(IMAGE.shape[:2], np.nan))


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3])
def test_a_constant_map_foretells_nothing(constant: float) -> None:
    edits = removal_edits(IMAGE, np.full(IMAGE.shape[:2], constant, np.float32))
    scores = torch.rand(len(edits))
    assert sensitivity_n(edits.amounts, scores).isnan()
    lost = scores[0] - scores[1:]
    best = lost.var(correction=0) if constant else lost.square().mean()
    torch.testing.assert_close(infidelity(edits.amounts, scores), best, rtol=1e-4, atol=1e-6)


def test_infidelity_is_what_no_factor_can_mend() -> None:
    amounts, scores = torch.rand(21), torch.rand(21, 2)
    amounts[0] = 0
    result = infidelity(amounts, scores)
    for column in range(2):
        lost = (scores[0, column] - scores[1:, column]).numpy()
        taken = amounts[1:].numpy()
        _, residual, *_ = np.linalg.lstsq(taken[:, None], lost, rcond=None)
        assert result[column].item() == pytest.approx(residual[0] / 20, rel=1e-4)
    torch.testing.assert_close(infidelity(amounts * 7, scores), result)
    assert sensitivity_n(amounts, scores).shape == (2,)


@pytest.mark.slow  # needs: pip install '.[quantus]'
def test_quantus_says_the_same_of_a_set_of_pixels() -> None:
    """Sensitivity-n is a Pearson correlation; Quantus measures it by the same function."""
    from quantus.functions import similarity_func as similarity

    a, b = RNG.normal(size=30), RNG.normal(size=30)
    ours = torch.from_numpy(a), torch.from_numpy(b)
    assert pearson(*ours).item() == pytest.approx(similarity.correlation_pearson(a, b), rel=1e-5)
    assert spearman(*ours).item() == pytest.approx(similarity.correlation_spearman(a, b), rel=1e-5)


def test_torchmetrics_correlates_the_same() -> None:
    from torchmetrics import functional

    a, b = torch.randn(40), torch.randn(40)
    torch.testing.assert_close(pearson(a, b), functional.pearson_corrcoef(a, b))
    torch.testing.assert_close(spearman(a, b), functional.spearman_corrcoef(a, b))


def test_correlations_of_ties_rows_and_constants() -> None:
    a = torch.tensor([1.0, 2.0, 2.0, 3.0])
    b = torch.tensor([1.0, 3.0, 2.0, 4.0])
    # Ranks 1, 2.5, 2.5, 4 and 1, 3, 2, 4: covariance 4.5, squares 4.5 and 5.
    assert spearman(a, b).item() == pytest.approx(4.5 / (4.5 * 5) ** 0.5)
    rows = torch.randn(3, 2, 9), torch.randn(3, 2, 9)
    expected = [[np.corrcoef(rows[0][i, j], rows[1][i, j])[0, 1] for j in (0, 1)] for i in range(3)]
    np.testing.assert_allclose(pearson(*rows), expected, rtol=1e-4, atol=1e-5)
    assert spearman(*rows).shape == (3, 2)
    assert pearson(torch.full((5,), 0.1), torch.rand(5)).isnan()
    assert pearson(torch.tensor([1.0]), torch.tensor([2.0])).isnan()


def test_only_the_relevant_part_is_shown() -> None:
    heatmap = RNG.normal(size=IMAGE.shape[:2]).astype(np.float32)
    heatmap[:3] = np.nan
    whole, part = relevant_part(IMAGE, heatmap)
    np.testing.assert_array_equal(whole, IMAGE)
    top = np.nanmax(heatmap)
    for y, x in ((0, 0), (5, 7), (27, 41), tuple(np.argwhere(heatmap == top)[0])):
        share = max(0.0, float(heatmap[y, x]) / top) if y >= 3 else 0.0
        np.testing.assert_allclose(part[y, x], IMAGE[y, x] * share, atol=0.51)
    for constant, kept in ((2.0, 1), (0.0, 0), (-3.0, 0)):
        _, part = relevant_part(IMAGE, np.full(IMAGE.shape[:2], constant))
        np.testing.assert_array_equal(part, IMAGE * kept)


def test_confidence_by_hand() -> None:
    amounts = torch.tensor([0.0, 1.0])
    scores = torch.tensor([[0.8, 0.5, 0.0, 0.4], [0.2, 0.6, 0.1, 0.4]])
    drop, rise = confidence_drop(amounts, scores), confidence_increase(amounts, scores)
    torch.testing.assert_close(drop, torch.tensor([0.75, 0, float("nan"), 0]), equal_nan=True)
    assert rise.tolist() == [0, 1, 1, 0]
    assert confidence_increase(amounts, torch.tensor([float("nan"), 0.5])).isnan()
