"""The fill of a hole from its surroundings, by its properties and a plain solution."""

from __future__ import annotations

import numpy as np
import pytest

from whyclip.errors import InputError
from whyclip.perturbation.inpaint import dilated, inpainted

SIZE = (40, 52)


def disc(y: float, x: float, radius: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    rows, columns = np.indices(size)
    return (rows - y) ** 2 + (columns - x) ** 2 < radius**2


def noise(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)


HOLES = {
    "inside": disc(20, 25, 12),
    "two": disc(12, 12, 6) | disc(25, 38, 8),
    "a pixel": disc(7, 7, 1),
    "at an edge": disc(20, 0, 9),
    "in a corner": disc(39, 51, 15),
    "all but a row": np.arange(40)[:, None] * np.ones((1, 52)) > 0,
}


@pytest.mark.parametrize("name", HOLES)
def test_a_constant_continues_and_what_was_in_the_hole_is_gone(name: str) -> None:
    hole = HOLES[name]
    image = np.full((*SIZE, 3), (200, 10, 90), np.uint8)
    dirty = np.where(hole[..., None], noise(), image)
    np.testing.assert_array_equal(inpainted(dirty, hole), image)


@pytest.mark.parametrize("name", ["inside", "two", "a pixel"])
def test_a_linear_gradient_continues(name: str) -> None:
    y, x = np.indices(SIZE)
    image = np.stack([3 * x, 250 - 5 * y, 2 * x + 3 * y], -1).astype(np.uint8)
    dirty = np.where(HOLES[name][..., None], noise(), image)
    np.testing.assert_array_equal(inpainted(dirty, HOLES[name]), image)


def test_a_wide_hole_in_a_photograph_s_size_continues_a_gradient() -> None:
    size = (300, 320)
    y, x = np.indices(size)
    image = np.stack([x // 2, y // 2, (x + y) // 4], -1).astype(np.uint8)
    hole = disc(150, 160, 110, size)
    far = np.abs(inpainted(np.where(hole[..., None], 0, image), hole).astype(int) - image)
    # The gradient itself is rounded to whole levels.
    assert far.max() <= 1


@pytest.mark.parametrize("name", HOLES)
def test_pixels_outside_stay_and_the_input_is_not_changed(name: str) -> None:
    image, hole = noise(), HOLES[name]
    before = image.copy()
    filled = inpainted(image, hole)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(filled[~hole], image[~hole])
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled, inpainted(image, hole))


@pytest.mark.parametrize("name", ["inside", "at an edge", "in a corner"])
def test_it_is_the_solution_of_laplace_s_equation(name: str) -> None:
    """Gauss's elimination of: each pixel is the mean of its neighbours in the image."""
    image, hole = noise(), HOLES[name]
    places = [tuple(place) for place in np.argwhere(hole)]
    number = {place: i for i, place in enumerate(places)}
    matrix, right = np.zeros((len(places), len(places))), np.zeros((len(places), 3))
    for (y, x), i in number.items():
        for place in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= place[0] < SIZE[0] and 0 <= place[1] < SIZE[1]:
                matrix[i, i] += 1
                if place in number:
                    matrix[i, number[place]] -= 1
                else:
                    right[i] += image[place]
    expected = np.linalg.solve(matrix, right)
    pixels = inpainted(image, hole)[hole].astype(float)
    assert np.abs(pixels - expected).max() < 0.51


def test_a_hole_that_is_the_whole_image_gets_its_mean() -> None:
    image = noise()
    filled = inpainted(image, np.ones(SIZE, bool))
    assert len(np.unique(filled.reshape(-1, 3), axis=0)) == 1
    assert np.abs(filled[0, 0] - image.reshape(-1, 3).mean(0)).max() <= 0.5


def test_without_a_hole_nothing_changes() -> None:
    np.testing.assert_array_equal(inpainted(noise(), np.zeros(SIZE, bool)), noise())


def test_a_hole_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match=r"shape \(3, 3\) in an image of shape \(40, 52\)"):
        inpainted(noise(), np.zeros((3, 3), bool))


def test_a_dilated_mask_has_all_pixels_within_reach() -> None:
    mask = np.random.default_rng(1).random((9, 11)) < 0.05
    expected = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        expected[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = True
    np.testing.assert_array_equal(dilated(mask, 2), expected)
