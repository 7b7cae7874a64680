"""Error of the first-order approximation, at the pooling attention and at the input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from whyclip.batches import batches
from whyclip.encoded_prompts import encode_prompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.models.tower import ImageTower
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import Curve, Panel, curve_plot
from whyclip.stats.correlation import pearson
from whyclip.studies.claims import is_above
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.measurements import Measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STEPS = (0.05, 0.1, 0.25, 0.5, 1.0)
READOUT, INPUT = "readout", "input"
COMPARED = ("correlation", "error", "change")
PLACES: Mapping[str, str] = {
    READOUT: "the patches' contribution to the readout, αΣ A_i v_i, is subtracted",
    INPUT: "the patches' pixels fade to the mean colour by α",
}


def linearity(
    setting: ExperimentInput, *, sets: int = 8, share: float = 0.25, bound: float = 0.9
) -> ExperimentResult:
    """Remove random sets of patches in steps, and compare the effect with the gradient.

    Predicted: ``ΔS = ∇S · Δ``. Measured: ``S(· + Δ) − S(·)``, once with Δ at the output of the
    pooling attention, once at the pixels, for the same sets.

    Args:
        setting: model and samples.
        sets: number of sets of patches per image.
        share: share of the patches in a set.
        bound: lowest correlation for a good prediction.
    """
    rows = Measurements()
    model = setting.model
    for number, sample in enumerate(setting.samples("perturbing")):
        [batch] = batches(model, [sample.source], "model")
        targets = encode_prompts(model, list(sample.prompts)).targets()
        keep = 0 if model.image.opaque else 1
        forward_pass = run_tower(model.image, batch.pixels, targets, keep=keep)
        drawn = _draw(forward_pass, sets, share, (setting.seed, number))
        places = {INPUT: _at_input} if model.image.opaque else {
            READOUT: _at_readout, INPUT: _at_input
        }  # fmt: skip
        for place, measure in places.items():
            for step, predicted, measured in measure(forward_pass, drawn):
                for name, values in _compared(predicted.double(), measured.double()).items():
                    rows.add((place, step, name), sample.image_id, values.tolist())
    shown = [place for place in PLACES if (place, STEPS[-1], "correlation") in rows]
    findings = [
        is_above(
            f"At the {place}, the gradient predicts the effect of removing patches",
            f"correlation at the full step (sets of {share:.0%} of the patches)",
            rows.interval((place, STEPS[-1], "correlation")),
            bound,
        )
        for place in shown
    ]
    table = Table(
        "First order against the true change",
        (
            Column("place", "changed at"),
            Column("step", "step α", digits=2),
            Column("correlation", better="higher", help=_CORRELATION),
            Column("error", "error", better="lower", help=_ERROR),
            Column("change", "mean change of S", digits=4),
            Column("n", "prompts"),
        ),
        tuple(
            {
                "place": place,
                "step": step,
                **{name: rows.interval((place, step, name)) for name in COMPARED},
                "n": len(rows[place, step, "error"]),
            }
            for place in shown
            for step in STEPS
        ),
        f"{sets} random sets of {share:.0%} of the patches for each image, the same at both "
        "places. " + "; ".join(f"{place}: {PLACES[place]}" for place in shown) + ".",
    )
    picture = Picture(
        _figure(rows, shown),
        "Correlation and error of the first-order approximation by step size",
        "Left: correlation of predicted and measured changes. Right: squared error. Bands are 95 % "
        "intervals.",
    )
    return ExperimentResult(findings, [table, picture], {"sets": str(sets), "share": f"{share:g}"})


_CORRELATION = (
    "correlation of predicted and measured changes over the sets of an image: 1 if they are "
    "proportional."
)
_ERROR = (
    "squared error of the prediction over the squared change: 0 is exact, 1 is the error of "
    "predicting no change."
)


def _compared(predicted: Tensor, measured: Tensor) -> dict[str, Tensor]:
    """Compare changes ``[n, sets]``; every result is ``[n]``."""
    share = (predicted - measured).square().sum(-1) / measured.square().sum(-1)
    change = measured.abs().mean(-1)
    return {"correlation": pearson(predicted, measured), "error": share, "change": change}


def _draw(forward_pass: ForwardPass, sets: int, share: float, seed: tuple[int, int]) -> Tensor:
    """Bool ``[sets, patches]``, each with the same number of True."""
    patches = int(forward_pass.content_mask[0].sum())
    size = min(max(1, round(share * patches)), patches)
    rng = np.random.default_rng((*seed, 6))
    order = np.argsort(rng.random((sets, patches)), axis=1)
    drawn = torch.zeros(sets, patches, dtype=torch.bool)
    drawn[torch.arange(sets)[:, None], torch.from_numpy(order[:, :size].copy())] = True
    return drawn.to(forward_pass.content_mask.device)


def _at_readout(forward_pass: ForwardPass, drawn: Tensor) -> list[tuple[float, Tensor, Tensor]]:
    """Predicted and measured changes ``[n, sets]`` at the attention's output, for each step."""
    tower, targets = forward_pass.tower, forward_pass.targets
    readout = forward_pass.readout(1)
    [g] = forward_pass.gradient(readout, "o")
    attention = readout.layers[0]
    parts = (attention.a[..., None] * attention.v).transpose(1, 2).flatten(2)[0]
    delta = -(drawn.to(parts.dtype) @ parts[forward_pass.content_mask[0]])
    x = forward_pass.states[len(tower.blocks) - 1][:, forward_pass.stream.readout_index[0]].to(
        parts.dtype
    )

    @torch.no_grad()
    def scores(o: Tensor) -> Tensor:
        row = x.expand(len(o), -1)
        return targets.score(tower.project(attention.block.finish(row, attention.block.merge(o))))

    whole = parts.sum(0)
    start = scores(whole[None])
    foretold = g[0].float() @ delta.float().T
    return [
        (step, step * foretold, (scores(whole + step * delta) - start).T)
        for step in STEPS
    ]  # fmt: skip


def _at_input(forward_pass: ForwardPass, drawn: Tensor) -> list[tuple[float, Tensor, Tensor]]:
    """Predicted and measured changes ``[n, sets]`` at the pixels, for each step."""
    tower, targets = forward_pass.tower, forward_pass.targets
    assert isinstance(tower, ImageTower)
    pixels = forward_pass.inputs.detach().clone().requires_grad_()
    start = targets.score(forward_pass.encode_perturbed(pixels))[0]
    gradients = torch.stack(
        [torch.autograd.grad(score, pixels, retain_graph=True)[0][0] for score in start]
    )
    faded = _over_pixels(forward_pass, drawn, tower.patch)
    # Inputs are normalised, so zero is the mean colour of the training images.
    delta = -faded * forward_pass.inputs.to(faded.dtype)
    foretold = torch.einsum("nchw,schw->ns", gradients.float(), delta)
    changes = []
    for step in STEPS:
        with torch.no_grad():
            changed = targets.score(
                forward_pass.encode_perturbed(forward_pass.inputs + step * delta)
            )
        changes.append((step, step * foretold, (changed - start.detach()).T))
    return changes


def _over_pixels(forward_pass: ForwardPass, drawn: Tensor, patch: int) -> Tensor:
    """Float ``[sets, 1, H, W]``: 1 on drawn patches, 0 elsewhere, also beyond the patch grid."""
    height, width = forward_pass.inputs.shape[-2:]
    rows, columns = forward_pass.stream.grid or (height // patch, width // patch)
    over = drawn.float().unflatten(-1, (rows, columns))[:, None]
    over = over.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
    lower, right = height - over.shape[2], width - over.shape[3]
    return torch.nn.functional.pad(over, (0, right, 0, lower))


def _figure(rows: Measurements, shown: list[str]) -> Figure:
    panels = []
    for name in ("correlation", "error"):
        curves = {}
        for place in shown:
            bands = [rows.interval((place, step, name)) for step in STEPS]
            mean, low, high = ([band[part] for band in bands] for part in range(3))
            curves[f"at the {place}"] = Curve(STEPS, mean, low, high)
        panels.append(Panel(curves, x="step α", y=name))
    return curve_plot(panels)


EXPERIMENT = Experiment(
    name="linearity",
    title="Accuracy of the first-order approximation",
    claim=(
        "The score's gradient predicts the effect of removing parts of the image, by a first-order "
        "approximation of the score at the output of the pooling attention."
    ),
    source="derivation of maps in Zhao et al., ICML 2024, arXiv 2502.18816, and arXiv 2605.12952",
    run=linearity,
    defaults=Defaults(limit=40),
    cost="1 s",
    on_real_data=(
        "whyclip reproduce linearity --data imagenet:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 200"
    ),
)
