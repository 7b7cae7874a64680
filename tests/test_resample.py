"""Maps on the image against plain loops, and images at display size."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from whyclip.errors import OptionError
from whyclip.resample import DISPLAY_SIDE, display_copy, resample_to_image
from whyclip.types import Box, Geometry

MAPS = hnp.arrays(
    np.float32,
    st.tuples(st.just(1), st.integers(1, 6), st.integers(1, 6)),
    elements=st.floats(-8, 8, width=32),
)


def whole(width: int, height: int) -> Geometry:
    return Geometry("model", width, height, Box(0, 0, width, height))


def kernel(distance: float) -> float:
    """Keys' cubic of a = −1/2, as textbooks write it."""
    d = abs(distance)
    if d < 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0


def plainly(grid: np.ndarray, y: float, x: float) -> float:
    """The value at a place in units of patches, from every patch within two of it."""
    gh, gw = grid.shape
    y, x = min(max(y - 0.5, 0), gh - 1), min(max(x - 0.5, 0), gw - 1)
    total = 0.0
    for row in range(math.floor(y) - 1, math.floor(y) + 3):
        for column in range(math.floor(x) - 1, math.floor(x) + 3):
            value = grid[min(max(row, 0), gh - 1), min(max(column, 0), gw - 1)]
            total += kernel(y - row) * kernel(x - column) * float(value)
    rows = (math.floor(y), min(math.floor(y) + 1, gh - 1))
    columns = (math.floor(x), min(math.floor(x) + 1, gw - 1))
    near = [float(grid[row, column]) for row in rows for column in columns]
    return min(max(total, min(near)), max(near))


@settings(deadline=None, max_examples=40)
@given(MAPS)
def test_catmull_rom_is_the_clamped_cubic_of_textbooks(maps: np.ndarray) -> None:
    gh, gw = maps.shape[1:]
    box = Box(-3.0, 2.0, 17.0, 25.0)
    laid = resample_to_image(
        torch.from_numpy(maps), Geometry("model", 19, 31, box), None, "catmull-rom"
    )
    for y in range(0, 31, 3):
        for x in range(0, 19, 2):
            v, u = (y + 0.5 - box.top) / 23 * gh, (x + 0.5 - box.left) / 20 * gw
            if 0 <= v <= gh and 0 <= u <= gw:
                assert float(laid[0, y, x]) == pytest.approx(plainly(maps[0], v, u), abs=1e-4)
            else:
                assert math.isnan(float(laid[0, y, x]))


@settings(deadline=None, max_examples=60)
@given(MAPS, st.integers(1, 5))
def test_no_interpolation_adds_a_sign_or_a_peak(maps: np.ndarray, times: int) -> None:
    gh, gw = maps.shape[1:]
    for how in ("catmull-rom", "nearest", "bilinear"):
        laid = resample_to_image(torch.from_numpy(maps), whole(gw * times, gh * times), None, how)
        assert float(laid.max()) <= maps.max() + 1e-5
        assert float(laid.min()) >= maps.min() - 1e-5
        if how != "bilinear":
            assert float(laid.max()) <= maps.max()
            assert float(laid.min()) >= maps.min()


@settings(deadline=None, max_examples=40)
@given(MAPS, st.sampled_from([1, 3, 5]))
def test_every_interpolation_is_exact_at_patch_centres(maps: np.ndarray, times: int) -> None:
    gh, gw = maps.shape[1:]
    for how in ("catmull-rom", "nearest", "bilinear"):
        laid = resample_to_image(torch.from_numpy(maps), whole(gw * times, gh * times), None, how)
        centres = laid[:, times // 2 :: times, times // 2 :: times]
        np.testing.assert_allclose(centres.numpy(), maps, atol=1e-4)


def test_nearest_gives_each_pixel_the_value_of_its_patch() -> None:
    maps = torch.arange(6.0).reshape(1, 2, 3)
    laid = resample_to_image(maps, whole(9, 4), None, "nearest")[0]
    expected = [[maps[0, y // 2, x // 3] for x in range(9)] for y in range(4)]
    assert laid.tolist() == expected


def test_a_patch_without_a_value_blanks_its_neighbourhood_only() -> None:
    maps = torch.ones(1, 6, 6)
    maps[0, 0, 0] = float("nan")
    laid = resample_to_image(maps, whole(60, 60), None, "catmull-rom")[0]
    assert torch.isnan(laid[:10, :10]).all()
    assert torch.equal(laid[20:, 20:], torch.ones(40, 40))


def test_an_unknown_interpolation_is_refused_by_its_name() -> None:
    with pytest.raises(OptionError, match="'nearst'; did you mean nearest"):
        resample_to_image(torch.ones(1, 2, 2), whole(4, 4), None, "nearst")  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(3000, 2000), (40, 9000), (1401, 1400), (1400, 10), (1, 1)])
def test_the_copy_is_at_most_of_display_size_with_the_same_proportions(
    size: tuple[int, int],
) -> None:
    image = Image.new("RGB", size)
    copy = display_copy(image)
    assert max(copy.size) == min(DISPLAY_SIDE, max(size))
    assert (copy is image) == (max(size) <= DISPLAY_SIDE)
    assert image.size == size
    ratio = max(size) / max(copy.size)
    assert np.allclose(np.array(copy.size) * ratio, size, atol=ratio)
