"""whyclip beside what people use instead: the same weights, the same input, one run.

    python -m benchmarks.peers                    # everything; kept in benchmarks/peers.json
    python -m benchmarks.peers --only prompts --rounds 1

ViT-B/16 with seeded random weights (RN50 for torchcam, which takes convolutional features only).
Peers: captum, grad-cam, torchcam, legrad_torch, exclip (needs openai-clip) and quantus; one that
is not installed is left out, and the table says so. "autograd" is Grad-ECLIP by hand: one forward
pass, and one ``torch.autograd.grad`` per prompt through the last block. Embeddings of prompts are
made before the clock starts. Time is that of the processor on one thread: other work on the
machine does not count. Each figure is the least of the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import whyclip
from benchmarks.speed import machine, random_view

RESULT = Path(__file__).with_suffix(".json")
CAPTION = "a small brown dog runs beside a red car outside"
STEPS = 32
MASKS = 2000
Case = tuple[str, str, str, Callable[[], Any]]
"""Work, tool, package that it needs (empty for none), and the call."""


class Scores(torch.nn.Module):
    """Cosines of images with prompts, for peers that take a classifier."""

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
    """Grad-ECLIP as its notebook does it, prompt by prompt."""
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
    """Integrated gradients of the pixels."""
    from captum.attr import IntegratedGradients

    explain = IntegratedGradients(Scores(setup.module.encode_image, setup.directions[:count]))
    for number in range(count):
        explain.attribute(
            setup.pixels, target=number, n_steps=STEPS, internal_batch_size=16,
            method="riemann_middle",
        )  # fmt: skip


def legrad(setup: Setup) -> Callable[[int], Any]:
    """LeGrad by its authors, on a copy that it rewrites."""
    import contextlib
    import io

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
    """RISE as its release does it: all masks in memory, batches of 100."""
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
    """Deletion of all pixels in ten steps."""
    import quantus as library

    metric = library.PixelFlipping(
        features_in_step=224 * 224 // 10, perturb_baseline="black", disable_warnings=True,
        display_progressbar=False,
    )  # fmt: skip
    maps = np.random.default_rng(0).random((len(images), 224, 224)).astype(np.float32)
    model = Scores(setup.module.encode_image, setup.directions[:10])
    metric(
        model=model, x_batch=images.numpy(), y_batch=np.zeros(len(images), int),
        a_batch=maps[:, None], device="cpu",
    )  # fmt: skip


def deletion(setup: Setup, images: torch.Tensor) -> None:
    """The same with whyclip's edits."""
    from whyclip.metrics import deletion_edits

    maps = np.random.default_rng(0).random((len(images), 224, 224)).astype(np.float32)
    scores = setup.view.scorer(setup.directions[:10])
    shown = ((images.permute(0, 2, 3, 1) + 2) * 60).clamp(0, 255).byte().numpy()
    with torch.no_grad():
        for image, values in zip(shown, maps, strict=True):
            edits = deletion_edits(image, values)
            batch = torch.from_numpy(np.stack(list(edits))).permute(0, 3, 1, 2) / 60 - 2
            scores(batch)


def cases(setup: Setup, only: str) -> Iterator[Case]:
    """Everything that is timed."""
    for count in (1, 10, 100, 1000):
        if "prompts" in only:
            work = f"Grad-ECLIP, 1 image × {count} prompts"
            yield work, "whyclip", "", partial(setup.explain, count)
            yield work, "autograd", "", partial(autograd, setup, setup.pixels, count)
    if "prompts" in only:
        many = [setup.image] * 64
        pixels = setup.pixels.repeat(64, 1, 1, 1)
        work = "Grad-ECLIP, 64 images × 10 prompts"
        yield work, "whyclip", "", partial(setup.explain, 10, image=many)
        yield work, "autograd", "", partial(autograd, setup, pixels, 10)
    if "methods" in only:
        for count in (1, 10):
            work = f"Grad-CAM, 1 image × {count} prompts"
            yield work, "whyclip", "", partial(setup.explain, count, "grad_cam", node="ln_1")
            yield work, "pytorch-grad-cam", "pytorch_grad_cam", partial(grad_cam, setup, count)
            work = f"integrated gradients, {STEPS} steps, 1 image × {count} prompts"
            yield (
                work,
                "whyclip",
                "",
                partial(setup.explain, count, "integrated_gradients", steps=STEPS),
            )
            yield work, "captum", "captum", partial(captum, setup, count)
            work = f"LeGrad, last 2 layers, 1 image × {count} prompts"
            yield work, "whyclip", "", partial(setup.explain, count, "legrad", start_layer=-2)
            if find_spec("legrad"):
                yield work, "legrad_torch", "legrad", partial(legrad(setup), count)
            else:
                yield work, "legrad_torch", "legrad", _nothing
        convolutional = Setup("RN50")
        work = "RN50: Grad-CAM, 1 image × 10 prompts"
        yield work, "whyclip", "", partial(convolutional.explain, 10, "grad_cam")
        yield work, "torchcam", "torchcam", partial(torchcam, convolutional, 10)
    if "interaction" in only:
        work = "word × patch table of a caption of 10 words"
        yield work, "whyclip", "", partial(whyclip.interaction, setup.view, setup.image, CAPTION)
        integrated = "integrated_gradients:steps=10"
        yield work, "whyclip, integrated gradients", "", partial(
            whyclip.interaction, setup.view, setup.image, CAPTION,
            words=integrated, regions=integrated,
        )  # fmt: skip
        yield work, "exclip, 10 steps", "exclip", partial(exclip, setup)
    if "edits" in only:
        images = torch.randn(20, 3, 224, 224, generator=torch.Generator().manual_seed(2))
        work = "deletion of 20 images in 11 points"
        yield work, "whyclip", "", partial(deletion, setup, images)
        yield work, "quantus", "quantus", partial(quantus, setup, images)
        work = f"RISE, {MASKS} masks"
        yield work, "whyclip", "", partial(setup.explain, 1, "rise", masks=MASKS)
        yield work, "by hand", "", partial(plain_rise, setup)


def _nothing() -> None:
    """Never called: the package is not installed."""


def measure(case: Case, rounds: int) -> float | None:
    """Least seconds of the processor; None if the package is not installed."""
    *_, package, call = case
    if package and find_spec(package) is None:
        return None
    least = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        call()
        least = min(least, time.process_time() - began)
    return least


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="prompts,methods,interaction,edits")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    setup = Setup()
    rows: dict[str, dict[str, float | None]] = {}
    for case in cases(setup, given.only):
        work, tool = case[:2]
        seconds = measure(case, given.rounds)
        rows.setdefault(work, {})[tool] = None if seconds is None else round(seconds, 3)
        ratio = "" if seconds is None else f"{seconds / rows[work]['whyclip']:.2f}"
        print(f"{work:55} {tool:30} {seconds and round(seconds, 3)!s:>8} s {ratio:>8}", flush=True)
    kept = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {"seconds": {}}
    kept = {"machine": machine(), "seconds": kept["seconds"] | rows}
    RESULT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
