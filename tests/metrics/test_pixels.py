"""Deletion and insertion of pixels: the edited images, counted, and the curves, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from whyclip.errors import ImageError, InputError
from whyclip.metrics import METRICS
from whyclip.metrics.deletion import deletion_edits
from whyclip.metrics.insertion import insertion_edits
from whyclip.metrics.protocol import GRAD_ECLIP, RISE
from whyclip.perturbation.fills import Fill, filled
from whyclip.perturbation.order import falling_order

RNG = np.random.default_rng(0)
# No channel is 0, so that the black canvas shows which pixels are still missing.
IMAGE = RNG.integers(1, 256, (37, 29, 3), dtype=np.uint8)
HEATMAP = RNG.normal(size=(37, 29)).astype(np.float32)


def changed(edited: NDArray[np.uint8], from_image: NDArray[np.uint8] = IMAGE) -> NDArray[np.bool_]:
    return (edited != from_image).any(-1)


def test_deletion_takes_the_most_relevant_half_in_eleven_points() -> None:
    edits = deletion_edits(IMAGE, HEATMAP)
    images = list(edits)
    step = 37 * 29 // 200
    assert [int(changed(image).sum()) for image in images] == [10 * j * step for j in range(11)]
    np.testing.assert_allclose(edits.amounts, np.arange(11) * 10 * step / (37 * 29), rtol=1e-6)
    for image in images[1:]:
        gone = changed(image)
        assert HEATMAP[gone].min() > HEATMAP[~gone].max()
        np.testing.assert_array_equal(image[~gone], IMAGE[~gone])


def test_deleted_pixels_are_noise_of_all_colours() -> None:
    image = np.zeros((200, 200, 3), np.uint8)
    values = deletion_edits(image, np.ones((200, 200)))
    last = list(values)[-1].reshape(-1, 3).astype(float)
    noise = last[np.argsort(last.sum(1))[20000:]]
    # Uniform on 0 to 255: mean 127.5, standard deviation 73.9, channels independent.
    assert noise.mean() == pytest.approx(127.5, abs=2)
    assert noise.std() == pytest.approx(73.9, abs=2)
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05


def test_insertion_begins_in_the_dark_and_ends_with_the_image() -> None:
    edits = insertion_edits(IMAGE, HEATMAP)
    images = list(edits)
    step = 37 * 29 // 200
    shown = [int((image > 0).all(-1).sum()) for image in images]
    assert shown == [10 * j * step for j in range(10)] + [37 * 29]
    np.testing.assert_array_equal(images[-1], IMAGE)
    assert edits.amounts[-1] == 1
    for image in images[1:-1]:
        here = image.any(-1)
        assert HEATMAP[here].min() > HEATMAP[~here].max()
        np.testing.assert_array_equal(image[here], IMAGE[here])


def test_rise_edits_every_pixel_a_row_of_224_at_a_time() -> None:
    deleted = list(deletion_edits(IMAGE, HEATMAP, protocol=RISE))
    inserted = list(insertion_edits(IMAGE, HEATMAP, protocol=RISE))
    blurred = filled(IMAGE, "blurred")
    counts = [0, 224, 448, 672, 896, 1073]
    assert [int(changed(image).sum()) for image in deleted] == counts
    assert not deleted[-1].any()
    np.testing.assert_array_equal(inserted[0], blurred)
    np.testing.assert_array_equal(inserted[-1], IMAGE)
    rank = np.argsort(np.argsort(-HEATMAP.ravel())).reshape(HEATMAP.shape)
    for image, count in zip(inserted, counts, strict=True):
        np.testing.assert_array_equal(image, np.where((rank < count)[..., None], IMAGE, blurred))


@pytest.mark.parametrize("make", [deletion_edits, insertion_edits])
@pytest.mark.parametrize("protocol", [GRAD_ECLIP, RISE])
def test_the_same_seed_gives_the_same_images_again_and_again(make, protocol) -> None:
    edits = make(IMAGE, HEATMAP, protocol=protocol, seed=5)
    first, again = list(edits), list(edits)
    other = list(make(Image.fromarray(IMAGE), torch.from_numpy(HEATMAP), protocol=protocol, seed=5))
    assert len(first) == len(edits)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, other)


def test_methods_meet_the_same_noise() -> None:
    one, two = (list(deletion_edits(IMAGE, values))[-1] for values in (HEATMAP, -HEATMAP))
    both = changed(one) & changed(two)
    assert not both.any() or (one[both] == two[both]).all()
    full = filled(IMAGE, "random")
    np.testing.assert_array_equal(one[changed(one)], full[changed(one)])
    np.testing.assert_array_equal(two[changed(two)], full[changed(two)])


def test_what_was_never_seen_goes_last() -> None:
    heatmap = HEATMAP.copy()
    heatmap[:, :4] = np.nan
    order = falling_order(heatmap)
    assert sorted(order.tolist()) == list(range(heatmap.size))
    unseen = {int(i) for i in np.flatnonzero(np.isnan(heatmap.ravel()))}
    assert set(order[-len(unseen) :].tolist()) == unseen
    assert not changed(list(deletion_edits(IMAGE, heatmap))[-1])[:, :4].any()


def test_equal_pixels_have_no_favourite_place() -> None:
    order = falling_order(np.zeros((40, 40)))
    top = (order[:800] < 800).mean()
    assert 0.4 < top < 0.6, "a constant map is the random control"
    assert falling_order(np.zeros(40), 1).tolist() != falling_order(np.zeros(40), 2).tolist()


def test_an_image_of_few_pixels_runs_out_of_them() -> None:
    image, heatmap = IMAGE[:3, :5], HEATMAP[:3, :5]
    deleted = [int(changed(edited, image).sum()) for edited in deletion_edits(image, heatmap)]
    assert deleted == [0, 10, 15, 15, 15, 15, 15, 15, 15, 15, 15]


def test_the_blur_is_a_gaussian_of_eleven_pixels() -> None:
    blurred = filled(IMAGE, "blurred")
    offsets = range(-5, 6)
    for y, x in ((0, 0), (18, 14), (36, 28), (2, 27)):
        weights, total = 0.0, np.zeros(3)
        for dy in offsets:
            for dx in offsets:
                weight = np.exp(-(dy * dy + dx * dx) / (2 * 5.0**2))
                pixel = IMAGE[min(max(y + dy, 0), 36), min(max(x + dx, 0), 28)]
                weights, total = weights + weight, total + weight * pixel
        np.testing.assert_allclose(blurred[y, x], total / weights, atol=0.51)


def test_the_other_fills() -> None:
    assert not filled(IMAGE, "black").any()
    assert (filled(IMAGE, "mean") == (124, 116, 104)).all()
    wrong: Fill = "white"  # type: ignore[assignment]
    with pytest.raises(InputError, match="white"):
        filled(IMAGE, wrong)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(InputError, match=r"\(29, 37\)"):
        deletion_edits(IMAGE, HEATMAP.T)
    with pytest.raises(InputError, match="infinite"):
        deletion_edits(IMAGE, np.full((37, 29), np.inf))
    with pytest.raises(ImageError, match="uint8"):
        insertion_edits(IMAGE / 255, HEATMAP)


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_eleven_points_are_averaged(name: str) -> None:
    metric = METRICS[name]
    scores = torch.rand(11, 4)
    amounts = torch.linspace(0, 0.5, 11)
    torch.testing.assert_close(metric.value(amounts, scores), scores.sum(0) / 11)


@pytest.mark.parametrize("name", ["deletion_rise", "insertion_rise"])
def test_rise_integrates(name: str) -> None:
    value = METRICS[name].value
    scores = torch.rand(6, dtype=torch.float64)
    # The rule of the release, for points at equal distances.
    expected = (scores.sum() - scores[0] / 2 - scores[-1] / 2) / 5
    assert value(torch.linspace(0, 1, 6), scores).item() == pytest.approx(expected.item())
    uneven = torch.tensor([0.0, 0.1, 0.5, 0.6, 0.9, 1.0])
    x, y = uneven.tolist(), scores.tolist()
    by_hand = sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(5))
    assert value(uneven, scores).item() == pytest.approx(by_hand, rel=1e-5)
    assert value(uneven / 2, scores).item() == pytest.approx(by_hand, rel=1e-5), "any width"


def test_a_map_of_the_object_beats_its_opposite_on_every_curve() -> None:
    """A model that looks for white; its object is a white square on dark noise."""
    image = RNG.integers(0, 60, (40, 40, 3), dtype=np.uint8)
    image[10:20, 10:25] = 250
    truth = np.zeros((40, 40), np.float32)
    truth[10:20, 10:25] = 1

    def score(images):
        return torch.tensor([float((i.min(-1) > 240).mean()) for i in images])

    for name in ("deletion", "deletion_rise", "insertion", "insertion_rise"):
        metric = METRICS[name]
        good, none, bad = (
            metric.measure(image, values, score=score, batch_size=7).item()
            for values in (truth, np.zeros_like(truth), -truth)
        )
        assert (good > none > bad) if metric.higher_is_better else (good < none < bad), name
