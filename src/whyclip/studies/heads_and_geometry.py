"""Separate effects of the two published changes on the model: a single head, another geometry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.readout import Heads
from whyclip.forward.run import run_tower
from whyclip.models import ModelView, model_inputs
from whyclip.stats.correlation import spearman
from whyclip.studies.candidates import share_recognised
from whyclip.studies.measurements import Measurements
from whyclip.types import GeometryName

HEADS: tuple[Heads, ...] = ("native", "single")
GEOMETRIES: tuple[GeometryName, ...] = ("model", "keep")

Computation = tuple[Heads, GeometryName]
COMPUTATIONS: tuple[Computation, ...] = tuple((h, g) for g in GEOMETRIES for h in HEADS)


class Embedded(NamedTuple):
    """Embedding ``[1, e]`` of an image by one of the four computations."""

    computation: Computation
    embedding: Tensor
    same_input: bool


def obstacle(model: ModelView) -> str:
    """Reason why the last attention layer cannot be recomputed or the grid is fixed; "" if none."""
    return model.image.opaque or model.image.fixed_grid_reason


def embedded(
    model: ModelView,
    image: Image.Image,
    forward: ForwardPass,
    geometries: Sequence[GeometryName] = GEOMETRIES,
) -> Iterator[Embedded]:
    """Embed an image with native heads or a single one, in each geometry.

    Args:
        model: model with an accessible last block of the image encoder.
        image: the decoded image.
        forward: forward pass of the same image in the model's geometry, with the input of the last
            block.
        geometries: geometries to use.
    """
    for geometry in geometries:
        same_input, of_geometry = True, forward
        if geometry != "model":
            [(pixels, _)] = model_inputs(model, [image], geometry)
            before = forward.inputs[0].to(pixels.device)
            same_input = pixels.shape == before.shape and torch.allclose(pixels, before, atol=1e-6)
            if not same_input:
                of_geometry = run_tower(model.image, pixels[None], forward.targets)
        for heads in HEADS:
            embedding = of_geometry.readout(1, heads).embedding.detach()
            yield Embedded((heads, geometry), embedding, same_input)


def add_scores(
    rows: Measurements,
    computation: Computation,
    image: str,
    labels: Sequence[int] | None,
    model_scores: Tensor,
    explained: Tensor,
) -> None:
    """Compare an image's scores ``[c]`` of all candidates, by the model and by a computation.

    Args:
        rows: receives ``same_best`` and ``ranks``; with labels also ``accuracy`` and
            ``model_accuracy`` (share of the k labels among the k best), and ``right`` and
            ``model_right`` (whether the best candidate is a label).
        computation: first parts of the keys.
        image: group of the rows.
        labels: positions of the image's labels; None without labels.
        model_scores: scores by the model.
        explained: scores by the computation.
    """
    best, model_best = int(explained.argmax()), int(model_scores.argmax())
    values = {
        "same_best": float(best == model_best),
        "ranks": float(spearman(explained, model_scores)),
    }
    if labels is not None:
        values |= {
            "accuracy": share_recognised(explained, labels),
            "model_accuracy": share_recognised(model_scores, labels),
            "right": float(best in labels),
            "model_right": float(model_best in labels),
        }
    for name, value in values.items():
        rows.add((*computation, name), image, [value])
