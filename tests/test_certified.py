"""What a certificate says of precision and geometry, to the letter, with its verdict."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import whyclip
from whyclip.certificate import Certificate
from whyclip.types import GeometryName, Precision


@lru_cache(maxsize=2)
def view(kind: torch.dtype = torch.float32) -> whyclip.ModelView:
    model, *rest = tiny.openclip_parts()
    return whyclip.wrap(model.to(kind), *rest, name="tiny")


def picture(width: int, height: int) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def explain(model: whyclip.ModelView, image: Image.Image, **options: Any) -> Certificate:
    return whyclip.explain(model, image, ["a red dog", "it"], **options).certificate


def interact(model: whyclip.ModelView, image: Image.Image, **options: Any) -> Certificate:
    return whyclip.interaction(model, image, "a red dog", **options).certificate


def interact_as_saved(model: whyclip.ModelView, image: Image.Image, **options: Any) -> Certificate:
    return whyclip.interaction(model, image, "a red dog", **options).explanation.certificate


Ask = Callable[..., Certificate]
ASKS: list[Ask] = [explain, interact, interact_as_saved]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(
    ("weights", "precision", "tolerance"),
    [
        (torch.float32, "fp32", 1e-4),
        (torch.float32, "bf16", 2e-2),
        (torch.bfloat16, "fp32", 2e-2),
        (torch.bfloat16, "bf16", 2e-2),
    ],
    ids=str,
)
def test_rounding_of_the_precision_in_use_is_no_other_model(
    ask: Ask, weights: torch.dtype, precision: Precision, tolerance: float
) -> None:
    certificate = ask(view(weights), picture(48, 40), precision=precision)
    assert (certificate.precision, certificate.tolerance) == (precision, tolerance)
    assert certificate.gap <= tolerance
    assert certificate.score_check == "passed"
    assert certificate.explains_score, str(certificate)
    if tolerance > 1e-4 and ask is not explain:
        # Without the tolerance of this precision the verdict would be another.
        assert certificate.gap > 1e-4


GRIDS = {
    # The model's own grid is 4 by 4 patches of 8 pixels.
    ("keep", 96, 48): "position embeddings interpolated from 4×4 to 6×12",
    ("keep", 48, 96): "position embeddings interpolated from 4×4 to 12×6",
    ("keep", 40, 40): "position embeddings interpolated from 4×4 to 5×5",
    ("pad", 96, 48): None,
    ("pad", 48, 96): None,
}


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(("geometry", "width", "height"), GRIDS)
def test_another_geometry_says_what_it_did(
    ask: Ask, geometry: GeometryName, width: int, height: int
) -> None:
    prepared = f"image prepared by geometry {geometry!r}, not by the model's own preprocessing"
    interpolated = GRIDS[geometry, width, height]
    expected = (prepared,) if interpolated is None else (prepared, interpolated)
    certificate = ask(view(), picture(width, height), geometry=geometry)
    assert certificate.modified_input == expected
    assert certificate.changes == expected
    assert not certificate.explains_score
    assert certificate.verdict == "explains a modified input"


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("geometry", ["model", "keep", "pad"])
def test_an_image_of_the_models_own_size_is_changed_by_no_geometry(
    ask: Ask, geometry: GeometryName
) -> None:
    certificate = ask(view(), picture(tiny.IMAGE_SIZE, tiny.IMAGE_SIZE), geometry=geometry)
    assert certificate.changes == ()
    assert certificate.explains_score
