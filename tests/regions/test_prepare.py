"""From images, boxes and masks to tensors: padding, scaling, patches under masks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import whyclip
from families import SMALL
from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.regions.canvas import Canvas, canvas_of
from whyclip.regions.features import box_features, feature_map
from whyclip.regions.region import box_of


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts())


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(3).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def on_black(image: Image.Image, width: int, height: int) -> Image.Image:
    canvas = Image.new("RGB", (width, height))
    canvas.paste(image)
    return canvas


@pytest.mark.parametrize("size", [(32, 20), (20, 32)])
def test_padding_is_a_black_rest_of_the_image(
    view: whyclip.ModelView, size: tuple[int, int]
) -> None:
    """An image and the same on a black square are one input, and its regions have one feature."""
    canvas = canvas_of(view)
    image = noise(*size)
    square = on_black(image, 32, 32)
    pixels = canvas.pixels(image)
    torch.testing.assert_close(pixels, canvas.pixels(square), atol=0, rtol=0)
    # The same by the model's own preprocessing, which leaves a square of its size as it is.
    torch.testing.assert_close(pixels, view.preprocess(square), atol=1e-6, rtol=0)
    box = (3.0, 2.0, 17.0, 19.0)
    assert canvas.box(box, image) == pytest.approx(canvas.box(box, square))
    mask = np.random.default_rng(1).random((size[1], size[0])) < 0.5
    padded = np.zeros((32, 32), bool)
    padded[: size[1], : size[0]] = mask
    torch.testing.assert_close(canvas.weights(mask, image), canvas.weights(padded, square))


def test_a_box_covers_the_same_pixels_of_the_input(view: whyclip.ModelView) -> None:
    """White on black, at a scale of 1/2: the patches in the box are the white ones."""
    image = Image.new("RGB", (64, 48))
    box = (16, 16, 48, 32)
    image.paste("white", box)
    canvas = canvas_of(view)
    left, top, right, bottom = canvas.box(tuple(map(float, box)), image)
    assert (left, top, right, bottom) == (1, 1, 3, 2)
    pixels = canvas.pixels(image)[0]
    patches = pixels.unfold(0, 8, 8).unfold(1, 8, 8).mean((2, 3))
    inside = patches[1:2, 1:3]
    assert float(inside.min()) > float(patches.max()) - 0.2
    assert canvas.fitted(image) == (24, 32)


def slow_weights(canvas: Canvas, mask: np.ndarray, image: Image.Image) -> np.ndarray:
    """Share of each patch that is covered, by many points in it."""
    gh, gw = canvas.grid
    height, width = canvas.fitted(image)
    points = 24
    weights = np.zeros((gh, gw))
    for row in range(gh):
        for column in range(gw):
            for i in range(points):
                for j in range(points):
                    y = (row + (i + 0.5) / points) * canvas.patch * image.height / height
                    x = (column + (j + 0.5) / points) * canvas.patch * image.width / width
                    there = y < image.height and x < image.width
                    weights[row, column] += there and mask[int(y), int(x)]
    return weights / points**2


@pytest.mark.parametrize("size", [(96, 72), (40, 56), (16, 11)])
def test_weights_are_the_covered_shares_of_patches(
    view: whyclip.ModelView, size: tuple[int, int]
) -> None:
    canvas, image = canvas_of(view), noise(*size)
    rng = np.random.default_rng(0)
    mask = np.kron(rng.random((7, 7)) < 0.4, np.ones((size[1] // 7 + 1, size[0] // 7 + 1))) > 0
    mask = mask[: size[1], : size[0]]
    weights = canvas.weights(mask, image).reshape(canvas.grid).numpy()
    np.testing.assert_allclose(weights, slow_weights(canvas, mask, image), atol=0.09)


def test_one_pixel_still_has_a_patch(view: whyclip.ModelView) -> None:
    image = noise(640, 480)
    mask = np.zeros((480, 640), bool)
    mask[300, 170] = True
    weights = canvas_of(view).weights(mask, image)
    # Patches of 8 input pixels are 160 of the image's.
    assert weights.nonzero().flatten().tolist() == [1 * 4 + 1]
    resized = canvas_of(view, masks="clipself").weights(mask, image)
    torch.testing.assert_close(resized, weights, atol=0, rtol=0)


@pytest.mark.parametrize("size", [(96, 72), (40, 56)])
def test_masks_as_in_clipself(view: whyclip.ModelView, size: tuple[int, int]) -> None:
    """Resized by torchvision to the grid, padded, and all that is above 0 counts alike."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import resize

    rng = np.random.default_rng(2)
    mask = np.kron(rng.random((9, 9)) < 0.3, np.ones((9, 12))) > 0
    mask = mask[: size[1], : size[0]]
    image = noise(*mask.shape[::-1])
    canvas = canvas_of(view, masks="clipself")
    scale = 4 / max(mask.shape)
    shape = [round(side * scale) for side in mask.shape]
    small = resize(
        torch.from_numpy(mask)[None].float(), shape, InterpolationMode.BICUBIC, antialias=False
    )
    expected = torch.zeros(4, 4)
    expected[: shape[0], : shape[1]] = small[0] > 0
    assert 0 < expected.sum() < 16
    torch.testing.assert_close(canvas.weights(mask, image).reshape(4, 4), expected)


def test_larger_inputs_have_more_patches(view: whyclip.ModelView) -> None:
    canvas = canvas_of(view, 64)
    assert canvas.grid == (8, 8)
    pixels = canvas.pixels(noise(64, 32))
    features = feature_map(view.image, pixels[None], canvas.grid)
    assert features.shape == (1, tiny.EMBED, 8, 8)
    box = torch.tensor([canvas.box((0, 0, 32, 32), noise(64, 32))])
    pooled = box_features(features, box, torch.tensor([0]))
    torch.testing.assert_close(pooled[0], features[0, :, :4, :4].mean((1, 2)), atol=1e-6, rtol=1e-4)


def test_box_of_a_mask() -> None:
    mask = np.zeros((9, 8), bool)
    mask[2:5, 3:4], mask[4, 6] = True, True
    assert box_of(mask) == (3, 2, 7, 5)
    assert box_of(np.zeros((3, 3), bool)) is None


@pytest.mark.parametrize(
    ("family", "options", "error", "message"),
    [
        ("vit", {"size": 30}, OptionError, "size=30 is not a multiple of the 8-pixel .*give 32"),
        ("vit", {"masks": "all"}, OptionError, "unknown masks 'all'; known: clipself, share"),
        ("resnet", {"size": 128}, OptionError, "size=128: .* takes only 64×64 pixels because its"),
        ("timm-eva", {"size": 64}, OptionError, "rotary"),
        ("vit-average", {}, UnsupportedModelError, "no dense features .*averages its patches"),
    ],
)
def test_what_cannot_be(family: str, options: Any, error: type[Exception], message: str) -> None:
    view = whyclip.wrap(*SMALL[family]())
    with pytest.raises(error, match=message):
        canvas_of(view, **options)


def test_native_sizes_that_are_no_whole_patches() -> None:
    """Pixels left over at the right and below belong to no patch, as in the model."""
    view = whyclip.wrap(*SMALL["timm-remainder"]())
    canvas = canvas_of(view)
    assert canvas.height == tiny.IMAGE_SIZE + 6
    assert canvas.grid == view.image.native_grid
    image = noise(canvas.width, canvas.height)
    mask = np.zeros((canvas.height, canvas.width), bool)
    assert canvas.width == canvas.grid[1] * canvas.patch + 2
    mask[:, -2:] = True
    assert not canvas.weights(mask, image).any()
