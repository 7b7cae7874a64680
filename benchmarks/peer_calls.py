"""Calls of :mod:`benchmarks.peers`: the shared model, and its explanation by each peer."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import whyclip
from benchmarks.speed import random_view

CAPTION = "a small brown dog runs beside a red car outside"
STEPS = 32
MASKS = 2000
POINTS = 12


class Scores(torch.nn.Module):
    """Cosines of images with prompts, for peers that explain a classifier."""

    def __init__(self, encode: Any, directions: torch.Tensor) -> None:
        super().__init__()
        self.encode, self.directions = encode, directions

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.encode(pixels), dim=-1) @ self.directions.T


class Setup:
    """A model with an image, its pixels, and embeddings of prompts."""

    def __init__(self, arch: str = "ViT-B-16") -> None:
        self.module, preprocess, self.view = random_view(arch)
        for parameter in self.module.parameters():
            parameter.requires_grad_(False)
        noise = np.random.default_rng(0).integers(0, 255, (224, 224, 3), dtype=np.uint8)
        self.image = Image.fromarray(noise)
        self.pixels = preprocess(self.image)[None]
        width = self.module.encode_image(self.pixels).shape[-1]
        generator = torch.Generator().manual_seed(1)
        self.directions = F.normalize(torch.randn(1000, width, generator=generator), dim=-1)

    def explain(self, count: int, method: str = "grad_eclip", **more: Any) -> Any:
        image = more.pop("image", self.image)
        return whyclip.explain(
            self.view, image, self.directions[:count], method=method, sides=["image"], **more
        )


def autograd(setup: Setup, pixels: torch.Tensor, count: int) -> torch.Tensor:
    """Grad-ECLIP as in its notebook, prompt by prompt."""
    visual = setup.module.visual
    block = visual.transformer.resblocks[-1]
    with torch.no_grad():
        x = visual._embeds(pixels)
        for earlier in visual.transformer.resblocks[:-1]:
            x = earlier(x)
        attn, w = block.attn, x.shape[-1]
        h = attn.num_heads
        parts = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias).split(w, -1)
        q, k, v = (part.unflatten(-1, (h, -1)).transpose(1, 2) for part in parts)
        a = (q @ k.transpose(-1, -2) / (w // h) ** 0.5).softmax(-1)
        o = (a @ v).transpose(1, 2).flatten(2)
    o.requires_grad_()
    y = x + attn.out_proj(o)
    y = y + block.mlp(block.ln_2(y))
    embedding = F.normalize(visual.ln_post(y[:, 0]) @ visual.proj, dim=-1)
    values = v.transpose(1, 2).flatten(2)[:, 1:]
    query, keys = F.normalize(q[:, :, :1], dim=-1), F.normalize(k[:, :, 1:], dim=-1)
    loose = (query * keys).sum(-1).mean(1)
    maps = []
    for direction in setup.directions[:count]:
        score = (embedding @ direction).sum()
        [gradient] = torch.autograd.grad(score, o, retain_graph=True)
        maps.append(((gradient[:, :1] * values).sum(-1) * loose).relu())
    return torch.stack(maps, 1)


def grad_cam(setup: Setup, count: int) -> None:
    """pytorch-grad-cam at ``ln_1`` of the last block."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = setup.module.visual.transformer.resblocks[-1].ln_1
    model = Scores(setup.module.encode_image, setup.directions[:count])
    model.visual = setup.module.visual
    for parameter in layer.parameters():
        parameter.requires_grad_(True)
    with GradCAM(
        model=model, target_layers=[layer], reshape_transform=lambda t: t[:, 1:].transpose(1, 2)
        .unflatten(-1, (14, 14))
    ) as cam:  # fmt: skip
        for number in range(count):
            cam(input_tensor=setup.pixels, targets=[ClassifierOutputTarget(number)])
    for parameter in layer.parameters():
        parameter.requires_grad_(False)


def captum(setup: Setup, count: int) -> None:
    """Integrated gradients with respect to the pixels."""
    from captum.attr import IntegratedGradients

    explain = IntegratedGradients(Scores(setup.module.encode_image, setup.directions[:count]))
    for number in range(count):
        explain.attribute(
            setup.pixels, target=number, n_steps=STEPS, internal_batch_size=16,
            method="riemann_middle",
        )  # fmt: skip


def legrad(setup: Setup) -> Callable[[int], Any]:
    """The authors' LeGrad, on a copy of the model that it modifies."""
    from legrad import LeWrapper

    with contextlib.redirect_stdout(io.StringIO()):
        wrapper = LeWrapper(deepcopy(setup.module), layer_index=-2)

    def run(count: int) -> Any:
        return wrapper.compute_legrad(setup.directions[:count], image=setup.pixels)

    return run


def torchcam(setup: Setup, count: int) -> None:
    from torchcam.methods import GradCAM

    model = Scores(setup.module.encode_image, setup.directions[:count])
    model.visual = setup.module.visual
    pixels = setup.pixels.clone().requires_grad_()
    with GradCAM(model, target_layer=setup.module.visual.layer4) as extract:
        for number in range(count):
            extract(number, model(pixels))


def plain_rise(setup: Setup) -> torch.Tensor:
    """RISE as in its release: all masks in memory, batches of 100."""
    generator = np.random.default_rng(0)
    cells = torch.from_numpy((generator.random((MASKS, 1, 8, 8)) < 0.5).astype(np.float32))
    large = F.interpolate(cells, size=252, mode="bilinear", align_corners=False)
    shifts = generator.integers(0, 28, (MASKS, 2))
    masks = torch.stack(
        [mask[:, y : y + 224, x : x + 224] for mask, (y, x) in zip(large, shifts, strict=True)]
    )
    scores = []
    with torch.no_grad():
        for start in range(0, MASKS, 100):
            embedding = setup.module.encode_image(setup.pixels * masks[start : start + 100])
            scores.append(F.normalize(embedding, dim=-1) @ setup.directions[:1].T)
    return (torch.cat(scores).T @ masks.flatten(1)).view(224, 224) / MASKS / 0.5


def exclip(setup: Setup) -> None:
    from exclip import OpenClipExplainer

    tokens = setup.view.tokenizer([CAPTION])
    explainer = OpenClipExplainer(setup.module, device=torch.device("cpu"))
    for parameter in setup.module.parameters():
        parameter.requires_grad_(True)
    explainer.explain(tokens, setup.pixels, text_layer=11, image_layer=11, N=10)
    explainer.reset_attribution()
    for parameter in setup.module.parameters():
        parameter.requires_grad_(False)


def quantus(setup: Setup, images: torch.Tensor) -> None:
    """Deletion of all pixels in twelve steps."""
    import quantus as library

    # It counts the values of the three channels, and wants a divisor of the number of pixels.
    metric = library.PixelFlipping(
        features_in_step=3 * 224 * 224 // POINTS, perturb_baseline="black", disable_warnings=True,
        display_progressbar=False,
    )  # fmt: skip
    maps = np.random.default_rng(0).random((len(images), 224, 224)).astype(np.float32)
    model = Scores(setup.module.encode_image, setup.directions[:10]).eval()
    metric(
        model=model, x_batch=images.numpy(), y_batch=np.zeros(len(images), int),
        a_batch=maps[:, None], device="cpu",
    )  # fmt: skip


def deletion(setup: Setup, images: torch.Tensor) -> None:
    """The same deletion with whyclip's edits."""
    from whyclip.metrics.deletion import deletion_edits
    from whyclip.metrics.protocol import RISE

    protocol = replace(RISE, counts=lambda pixels: np.arange(1, POINTS + 1) * pixels // POINTS)
    maps = np.random.default_rng(0).random((len(images), 224, 224)).astype(np.float32)
    scores = setup.view.scorer(setup.directions[:10])
    shown = ((images.permute(0, 2, 3, 1) + 2) * 60).clamp(0, 255).byte().numpy()
    with torch.no_grad():
        for image, values in zip(shown, maps, strict=True):
            edits = deletion_edits(image, values, protocol=protocol)
            batch = torch.from_numpy(np.stack(list(edits))).permute(0, 3, 1, 2) / 60 - 2
            scores(batch)
