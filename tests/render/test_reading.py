"""Patches beside the picture, which no map shows, and the method's name with its options."""

import numpy as np
import pytest
import torch

from whyclip.inputs.canvas import Canvas
from whyclip.render.reading import map_scales, method_title, patches_on
from whyclip.types import Box, Geometry


@pytest.mark.parametrize("seed", range(20))
def test_a_patch_is_on_the_picture_where_it_covers_a_point_of_it(seed):
    rng = np.random.default_rng(seed)
    left, top = rng.uniform(-200, 100, 2)
    right, bottom = rng.uniform(150, 500, 2)
    rows, columns = rng.integers(1, 12, 2)
    patches = patches_on(Geometry("model", 320, 240, Box(left, top, right, bottom)), rows, columns)
    x = (np.arange(0.005, 320, 0.01) - left) / (right - left) * columns
    y = (np.arange(0.005, 240, 0.01) - top) / (bottom - top) * rows
    expected = np.isin(np.arange(rows), np.floor(y))[:, None] & np.isin(
        np.arange(columns), np.floor(x)
    )
    np.testing.assert_array_equal(patches, expected)


@pytest.mark.parametrize(("width", "height"), [(72, 45), (272, 170), (460, 230), (460, 345)])
def test_rounding_puts_no_patch_of_padding_on_the_picture(width, height):
    """The picture is as long as the input, and padded above and below by whole patches."""
    wide, margin = 224, (224 - 224 * height // width) // 2
    box = Canvas.of(width, height).resize(wide, wide - 2 * margin).crop(0, -margin, wide, wide).box
    on = patches_on(Geometry("model", width, height, box), 16, 16).all(axis=1)
    assert margin % 14 == 0
    assert on.tolist() == [margin <= 14 * row < wide - margin for row in range(16)]


def test_patches_beside_the_picture_set_neither_scale_nor_sign(make):
    maps = torch.full((2, 6, 8), 0.5)
    maps[:, 2, 4], maps[0, :, 0], maps[1, :, 7] = 1.0, -9.0, 9.0
    beside = make(maps=maps, box=Box(-80, 0, 400, 240))
    assert [(s.limit, s.signed) for s in map_scales(beside)] == [(1.0, False)] * 2
    assert [s.limit for s in map_scales(beside, shared=True)] == [1.0, 1.0]
    # A patch that is seen in part counts.
    seen = make(maps=maps, box=Box(-50, 0, 370, 240))
    assert [(s.limit, s.signed) for s in map_scales(seen)] == [(9.0, True)] * 2


def test_a_method_is_named_with_the_options_that_are_not_its_defaults(make):
    assert method_title(make()) == "grad_eclip"
    assert method_title(make(options={"heads": "single", "relu": False})) == (
        "grad_eclip:heads=single:relu=false"
    )
    assert method_title(make(method="mine", options={"steps": 3})) == "mine:steps=3"
