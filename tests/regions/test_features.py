"""Region features, compared with plain loops and with the model's own forward pass."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tiny
import whyclip
from families import BLIND, SMALL
from whyclip.errors import UnsupportedModelError
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.regions.dense import dense_features
from whyclip.regions.features import box_features, feature_map, mask_features

GENERATOR = torch.Generator()


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR.manual_seed(seed))


def bilinear(plane: Tensor, y: float, x: float) -> Tensor:
    """Value ``[e]`` of a map ``[e, gh, gw]`` at a point; cell centres are whole numbers."""
    gh, gw = plane.shape[1:]
    y, x = min(max(y, 0.0), gh - 1.0), min(max(x, 0.0), gw - 1.0)
    total = torch.zeros(len(plane))
    for row in {math.floor(y), math.ceil(y)}:
        for column in {math.floor(x), math.ceil(x)}:
            total += plane[:, row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


def slow_box(plane: Tensor, box: list[float]) -> Tensor:
    """Mean of samples in the middle of equal cells, one per started patch each way."""
    left, top, right, bottom = box
    down, across = math.ceil(bottom - top), math.ceil(right - left)
    total = torch.zeros(len(plane))
    for i in range(down):
        for j in range(across):
            y = top + (i + 0.5) * (bottom - top) / down - 0.5
            x = left + (j + 0.5) * (right - left) / across - 0.5
            total += bilinear(plane, y, x)
    return total / (down * across)


def test_a_box_is_the_mean_of_bilinear_samples() -> None:
    features = noise(2, 5, 6, 7)
    boxes = torch.tensor(
        [[0, 0, 7, 6], [1.3, 2.2, 1.9, 2.4], [2.5, 0.1, 6.9, 3.7], [0.2, 4.4, 1.7, 6.0]]
    )
    image = torch.tensor([0, 1, 1, 0])
    pooled = box_features(features, boxes, image)
    for row, box in enumerate(boxes.tolist()):
        expected = slow_box(features[image[row]], box)
        torch.testing.assert_close(pooled[row], expected, atol=1e-5, rtol=1e-5)


def test_a_box_of_whole_patches_is_their_mean() -> None:
    features = noise(1, 3, 4, 4)
    pooled = box_features(features, torch.tensor([[1.0, 0.0, 3.0, 3.0]]), torch.tensor([0]))
    torch.testing.assert_close(pooled[0], features[0, :, :3, 1:3].mean((1, 2)))


def test_a_mask_is_the_weighted_mean_of_its_patches() -> None:
    features = noise(3, 4, 2, 5)
    weights = torch.rand(6, 10, generator=GENERATOR.manual_seed(1))
    weights[weights < 0.5] = 0
    image = torch.tensor([2, 0, 1, 1, 0, 2])
    pooled = mask_features(features, weights, image)
    for row in range(6):
        total, weight = torch.zeros(4), 0.0
        for patch in range(10):
            share = float(weights[row, patch])
            total += share * features[image[row], :, patch // 5, patch % 5]
            weight += share
        torch.testing.assert_close(pooled[row], total / weight)


@torch.no_grad()
def test_the_map_of_a_vit_by_its_weights_alone() -> None:
    """The last block of OpenCLIP's ViT by hand: values, projection, MLP, norm, projection."""
    model, preprocess, tokenizer = tiny.openclip_parts()
    view = whyclip.wrap(model, preprocess, tokenizer)
    pixels = noise(2, 3, tiny.IMAGE_SIZE, tiny.IMAGE_SIZE)
    visual = model.visual
    x = visual.conv1(pixels).flatten(2).transpose(1, 2)
    x = torch.cat([visual.class_embedding.expand(2, 1, -1), x], 1) + visual.positional_embedding
    x = visual.ln_pre(x)
    first, last = visual.transformer.resblocks
    x = first(x)
    width = tiny.WIDTH
    attention = last.attn
    value = last.ln_1(x) @ attention.in_proj_weight[2 * width :].T
    value = value + attention.in_proj_bias[2 * width :]
    x = x + attention.out_proj(value)
    x = x + last.mlp(last.ln_2(x))
    expected = F.normalize(visual.ln_post(x[:, 1:]) @ visual.proj, dim=-1)
    features = feature_map(view.image, pixels, tiny.GRID)
    torch.testing.assert_close(
        features, expected.transpose(1, 2).unflatten(2, tiny.GRID), atol=1e-5, rtol=1e-4
    )


# One of each kind of readout and of each library; the rest are variants of these.
QUICK = (
    "vit",
    "vit-attentional-pool",
    "coca",
    "resnet",
    "timm-siglip",
    "timm-eva",
    "siglip",
    "blip",
)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in SMALL
        if name not in BLIND
    ],
)
def test_the_last_block_reads_what_it_reads_in_the_model(family: str) -> None:
    view = whyclip.wrap(*SMALL[family]())
    tower = view.image
    pixels = noise(2, 3, *tower.input_size)
    grid = tower.native_grid
    features = feature_map(tower, pixels, grid)
    assert features.shape == (2, view.width, *grid)
    targets = Targets(F.normalize(noise(1, view.width), dim=-1))
    forward_pass = run_tower(tower, pixels, targets)
    assert forward_pass.checked == 2
    expected = dense_features(tower, forward_pass.states[len(tower.blocks) - 1], grid[0] * grid[1])
    torch.testing.assert_close(
        features.flatten(2).transpose(1, 2), expected.detach(), atol=2e-5, rtol=1e-4
    )
    assert float(features.flatten(2).std(-1).max()) > 1e-3, "all patches have the same feature"


@pytest.mark.parametrize("family", BLIND[:1])
def test_opaque_encoders_have_no_map(family: str) -> None:
    view = whyclip.wrap(*SMALL[family]())
    with pytest.raises(UnsupportedModelError, match=r"dense features"):
        feature_map(view.image, noise(1, 3, *view.image.input_size), view.image.native_grid)
