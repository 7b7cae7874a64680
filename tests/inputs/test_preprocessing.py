"""Processors and canvases that are not the usual ones: no normalisation, no square."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.transform import image_transform
from PIL import Image

from whyclip.inputs import model_geometry, normalisation_of
from whyclip.inputs.canvas import Canvas
from whyclip.inputs.prepare import prepare
from whyclip.types import GeometryName

SIDE, PATCH = 32, 8
NOISE = Image.fromarray(
    np.random.default_rng(4).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8), "RGB"
)


def processor(**options: Any) -> Any:
    import transformers

    size = {"height": SIDE, "width": SIDE}
    statistics = {"image_mean": [0.1, 0.5, 0.8], "image_std": [0.2, 0.3, 0.6]}
    return transformers.SiglipImageProcessor(size=size, **{**statistics, **options})


OPTIONS: list[dict[str, Any]] = [
    {},
    {"do_normalize": False},
    {"do_rescale": False},
    {"do_normalize": False, "do_rescale": False},
    {"rescale_factor": 1 / 127.5},
    {"do_normalize": False, "rescale_factor": 1 / 127.5},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_pixels_are_normalised_as_the_processor_does(options: dict[str, Any]) -> None:
    image_processor = processor(**options)
    expected = image_processor(images=NOISE, return_tensors="pt")["pixel_values"][0].float()
    rgb = torch.from_numpy(np.array(NOISE)).permute(2, 0, 1).float() / 255
    size = float(expected.abs().max())
    assert (expected.amin((1, 2)) < expected.amax((1, 2))).all()
    pixels = normalisation_of(image_processor).apply(rgb)
    torch.testing.assert_close(pixels, expected, rtol=1e-5, atol=1e-6 * size)


@pytest.mark.parametrize("geometry", ["keep", "pad"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_an_image_of_the_native_size_is_the_same_in_every_geometry(
    options: dict[str, Any], geometry: GeometryName
) -> None:
    where: dict[str, Any] = {"patch": PATCH, "native": (SIDE // PATCH, SIDE // PATCH)}
    [(expected, _)] = prepare([NOISE], processor(**options), "model", **where)
    [(pixels, _)] = prepare([NOISE], processor(**options), geometry, **where)
    torch.testing.assert_close(pixels, expected, rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    patch=st.integers(1, 40),
    scale=st.floats(0.1, 9),
)
def test_each_side_loses_its_own_remainder(
    width: int, height: int, patch: int, scale: float
) -> None:
    whole = Canvas.of(round(900 * scale), round(700 * scale)).resize(width, height)
    kept = whole.whole_patches(patch)
    assert (kept.width, kept.height) == (width - width % patch, height - height % patch)
    across = (whole.box.right * kept.width / width, whole.box.bottom * kept.height / height)
    assert (kept.box.right, kept.box.bottom) == pytest.approx(across)
    assert (kept.box.left, kept.box.top) == (0, 0)


def test_the_box_of_an_input_that_is_not_square_ends_at_its_last_whole_patches() -> None:
    preprocess = image_transform((70, 30), is_train=False, resize_mode="squash")
    assert preprocess(Image.new("RGB", (300, 700))).shape == (3, 70, 30)
    geometry = model_geometry(preprocess, 300, 700, patch=8)
    # 70 rows hold 8 patches, 64 pixels; 30 columns hold 3, 24 pixels.
    assert geometry.box == pytest.approx((0, 0, 240, 640))
