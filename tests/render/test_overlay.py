"""Panels against a plain computation, pixel by pixel, and their properties."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from inks import plainly
from whyclip.errors import InputError
from whyclip.render import overlay
from whyclip.render.grey import grey, levels

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


def pixels(image):
    return np.asarray(image, dtype=float)


def quantile(values, share):
    values = sorted(values)
    at = share * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def plain_grey(rgb):
    """The design's base, in plain numbers."""
    luma = [(0.299 * r + 0.587 * g + 0.114 * b) / 255 for r, g, b in rgb.reshape(-1, 3).tolist()]
    low, high = quantile(luma, 0.01), quantile(luma, 0.99)
    middle, half = (low + high) / 2, max(high - low, 1 / 1.5) / 2
    stretched = [min(max((g - middle + half) / (2 * half), 0), 1) for g in luma]
    median = min(max(quantile(stretched, 0.5), 1e-6), 1 - 1e-6)
    power = min(max(math.log(0.5) / math.log(median), 0.55), 1.2)
    return np.array([g**power for g in stretched]).reshape(rgb.shape[:2])


@settings(deadline=None)
@given(IMAGES)
def test_the_grey_of_an_image_is_its_stretched_luma(rgb):
    result = grey(Image.fromarray(rgb), rgb.shape[1], rgb.shape[0])
    np.testing.assert_allclose(result, plain_grey(rgb), atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(IMAGES, st.integers(0, 2**32 - 1), st.booleans())
def test_every_pixel_is_the_mixture_of_its_two_inks(rgb, seed, signed):
    heat = np.random.default_rng(seed).normal(size=rgb.shape[:2])
    heat = heat if signed else np.abs(heat)
    drawn = pixels(overlay(Image.fromarray(rgb), heat))
    base, peak = plain_grey(rgb), np.abs(heat).max()
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            expected = 255 * np.array(plainly(base[y, x], heat[y, x] / peak))
            assert drawn[y, x] == pytest.approx(expected, abs=0.51)


@settings(deadline=None)
@given(IMAGES)
def test_no_image_looks_hot_where_there_is_no_relevance(rgb):
    drawn = pixels(overlay(Image.fromarray(rgb), np.zeros(rgb.shape[:2])))
    assert np.ptp(drawn, axis=-1).max() == 0
    beside = np.zeros(rgb.shape[:2])
    beside[0, 0] = 1.0
    assert np.ptp(pixels(overlay(Image.fromarray(rgb), beside)), axis=-1).ravel()[1:].sum() == 0


@settings(deadline=None)
@given(IMAGES, st.integers(0, 2**32 - 1))
def test_the_positive_half_of_a_signed_map_is_drawn_as_a_positive_map(rgb, seed):
    heat = np.random.default_rng(seed).uniform(0, 1, rgb.shape[:2])
    heat[0, 0] = 1.0
    signed = heat.copy()
    signed[-1, -1] = -1.0
    positive, both = (pixels(overlay(Image.fromarray(rgb), h)) for h in (heat, signed))
    np.testing.assert_array_equal(positive.reshape(-1, 3)[:-1], both.reshape(-1, 3)[:-1])


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (250, 40, 10)])
def test_an_image_of_one_colour_lies_in_the_middle(colour):
    assert grey(Image.new("RGB", (9, 4), colour), 9, 4) == pytest.approx(0.5)


def test_a_large_image_has_the_levels_of_a_small_one():
    noise = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    small = Image.fromarray(noise)
    large = small.resize((1800, 1200), Image.Resampling.NEAREST)
    assert levels(large) == pytest.approx(levels(small), abs=0.05)


def test_the_same_patch_at_the_peak_and_at_zero_is_far_apart_on_any_image():
    for level in (10, 128, 245):
        board = np.full((20, 20, 3), level, np.uint8)
        board[::2] = 255 - level
        image = Image.fromarray(board)
        hot, cold = (pixels(overlay(image, np.full((20, 20), v))) for v in (1.0, 0.0))
        assert np.linalg.norm(hot - cold, axis=-1).min() > 120


def test_unseen_parts_are_grey_hatching_and_take_no_part_in_the_scale():
    heat = np.ones((60, 60))
    heat[:, :30] = np.nan
    image = Image.new("RGB", (60, 60), (250, 20, 20))
    drawn = pixels(overlay(image, heat))
    unseen = drawn[:, :30].reshape(-1, 3)
    assert np.ptp(unseen, axis=1).max() == 0
    shades = np.unique(unseen[:, 0])
    assert len(shades) == 2
    assert shades[1] - shades[0] > 25
    assert np.ptp(drawn[:, 30:], axis=-1).min() > 20


def disc(sign=1):
    y, x = np.mgrid[:80, :100]
    return sign * np.clip(1.2 - np.hypot(y - 40, x - 50) / 30, 0, 1)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_contour_runs_along_half_of_the_peak_and_nowhere_else(sign):
    plain, drawn = (pixels(overlay(None, disc(sign), contour=on)) for on in (False, True))
    changed = (plain != drawn).any(-1)
    away = np.abs(np.abs(disc(sign)) - 0.5) * 30  # in pixels, as the disc falls by 1/30 a pixel
    assert away[changed].max() < 3.5
    white = (drawn == 255).all(-1)
    assert white.any()
    assert away[white].max() < 2
    on_the_line = away < 0.5
    if sign > 0:
        assert white[on_the_line].all()
    else:
        assert 0.3 < white[on_the_line].mean() < 0.7  # dashed


def test_the_contour_does_not_run_along_the_crop_or_between_hot_patches():
    heat = np.full((40, 40), 0.6)
    heat[:, 20:] = 1.0
    heat[:, :10] = np.nan
    same = [pixels(overlay(None, heat, contour=on)) for on in (False, True)]
    np.testing.assert_array_equal(*same)


def test_a_map_of_nothing_but_unseen_or_zero_is_drawn():
    assert overlay(None, np.full((4, 4), np.nan)).size == (4, 4)
    blank = pixels(overlay(None, np.zeros((4, 4))))
    assert np.ptp(blank) == 0


def test_any_image_mode_and_size_and_a_tensor_with_gradient_are_taken():
    heat = torch.rand(30, 40, requires_grad=True)
    for mode in ("L", "RGBA", "CMYK", "P", "I;16"):
        drawn = overlay(Image.new(mode, (7, 5)), heat)
        assert (drawn.size, drawn.mode) == ((40, 30), "RGB")


@pytest.mark.parametrize("shape", [(3, 4, 5), (4,), (0, 4)])
def test_anything_but_one_map_is_refused_by_its_shape(shape):
    with pytest.raises(InputError, match=r"shape \(" + str(shape[0])):
        overlay(None, np.zeros(shape))


def test_explanations_overlay_lands_where_the_map_is_hot(make):
    explanation = make(("a red disc",))
    drawn = pixels(overlay(explanation.image, explanation.heatmap()[0]))
    colour = np.ptp(drawn, axis=-1)
    assert colour[60, 200:].max() > 100
    assert colour[200, 20] < 3  # the grass is green, its panel is not
