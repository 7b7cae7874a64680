"""Reliance of a model on badges, measured by removal, accuracy without badges, and heat maps."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from whyclip.finetuning.batch import token_ids
from whyclip.finetuning.guidance import Guidance
from whyclip.finetuning.passes import (
    TrainingPass,
    embed_without,
    readout_contribution,
    run_with_gradients,
)
from whyclip.finetuning.scene_table import CONCEPTS, PHRASE_TEMPLATE, normalised
from whyclip.models import ModelView
from whyclip.scenes.captions import phrase
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments.badges import GROUP, BadgedScenes

Array = NDArray[np.float64]
EXAMPLES = 3
_AT_ONCE = 256


@dataclass(frozen=True)
class Measured:
    """Measures of one model on m scenes with a badge and q scenes without a concept of the group.

    Attributes:
        scenes: ``[m]`` numbers of the scenes with a badge.
        with_badge: ``[m]`` 1 if the badge's concept is among the k best of all 32, otherwise 0;
            k is the number of concepts in the scene.
        without_badge: ``[m]`` the same for the scene drawn without its badge.
        rendering: ``[m]`` reliance S(with badge) − S(drawn without badge), S the cosine with the
            prompt of the badge's concept.
        removal: ``[m]`` reliance S − S(badge's patches removed from the attention).
        contribution: ``[m]`` share of positive relevance on the badge's patches, by Contribution.
        grad_eclip: ``[m]`` the same by Grad-ECLIP.
        other_scenes: ``[q]`` numbers of the other scenes.
        others: ``[q]`` share of a scene's concepts that are among its k best.
        maps: ``[examples, patches]`` Grad-ECLIP maps of the first scenes with a badge.
    """

    scenes: Array
    with_badge: Array
    without_badge: Array
    rendering: Array
    removal: Array
    contribution: Array
    grad_eclip: Array
    other_scenes: Array
    others: Array
    maps: Array

    def as_lists(self) -> dict[str, list[float] | list[list[float]]]:
        """Convert to plain lists, rounded to 4 digits after the decimal point."""
        return {one.name: getattr(self, one.name).round(4).tolist() for one in fields(self)}

    @staticmethod
    def from_lists(values: dict[str, list[float]]) -> Measured:
        """Read the result of ``as_lists``."""
        return Measured(**{name: np.array(value, dtype=float) for name, value in values.items()})


def measure(view: ModelView, scenes: BadgedScenes, *, maps: bool = True) -> Measured:
    """Measure a model on unseen scenes.

    Args:
        view: the model.
        scenes: scenes on the model's device.
        maps: whether to measure patch removal and relevance; otherwise these values are NaN, as for
            an encoder without accessible blocks.
    """
    prompts = embed_prompts(view)
    white_box = maps and not view.image.opaque
    guidance = Guidance(view, "grad_eclip") if white_box else None
    carriers, others = scenes.carriers, scenes.others
    parts: dict[str, list[Tensor]] = {name: [] for name in _CARRIED}
    kept: list[Tensor] = []
    for rows in carriers.split(_AT_ONCE):
        carried, drawn = _with_and_without(view, scenes, rows, prompts, guidance)
        for name, value in carried.items():
            parts[name].append(value)
        kept.append(drawn)
    recalls = [_recall(view, scenes, rows, prompts) for rows in others.split(_AT_ONCE)]
    return Measured(
        scenes=_plain([carriers]),
        other_scenes=_plain([others]),
        others=_plain(recalls),
        maps=_plain(kept)[:EXAMPLES],
        **{name: _plain(values) for name, values in parts.items()},
    )


_CARRIED = (
    "with_badge", "without_badge", "rendering", "removal", "contribution", "grad_eclip",
)  # fmt: skip


def _with_and_without(
    view: ModelView, scenes: BadgedScenes, rows: Tensor, prompts: Tensor, guidance: Guidance | None
) -> tuple[dict[str, Tensor], Tensor]:
    """Measure scenes with a badge, and compute their maps ``[b, patches]``."""
    shown = torch.ones_like(rows, dtype=torch.bool)
    concept = torch.tensor(GROUP, device=rows.device)[scenes.badge[rows]]
    batch = scenes.batch(rows, shown, shown)
    assert batch.hidden is not None
    run = run_with_gradients(view.image, batch.pixels)
    plain = normalised(scenes.render(rows, ~shown))
    with torch.no_grad():
        scores = run.unit @ prompts.T
        without = F.normalize(view.image.encode(plain).float(), dim=-1) @ prompts.T
    number = _concepts_in(scenes, rows).sum(1)
    carrier = concept[:, None]
    values = {
        "with_badge": _among_best(scores, number).gather(1, carrier)[:, 0],
        "without_badge": _among_best(without, number).gather(1, carrier)[:, 0],
        "rendering": (scores - without).gather(1, carrier)[:, 0],
    }
    if guidance is None:
        nothing = torch.full_like(values["rendering"], float("nan"))
        blank = torch.zeros_like(batch.hidden, dtype=torch.float)
        return {**values, **dict.fromkeys(_CARRIED[3:], nothing)}, blank
    with torch.no_grad():
        rest = F.normalize(embed_without(view.image, run.stream, batch.hidden).float(), dim=-1)
    values["removal"] = scores.gather(1, carrier)[:, 0] - (rest * prompts[concept]).sum(-1)
    contribution, grad_eclip = _maps(view, run, batch.pixels, prompts, concept, guidance)
    values["contribution"] = share_on(contribution, batch.hidden)
    values["grad_eclip"] = share_on(grad_eclip, batch.hidden)
    return {name: value.detach() for name, value in values.items()}, grad_eclip


def _maps(
    view: ModelView,
    run: TrainingPass,
    pixels: Tensor,
    prompts: Tensor,
    concept: Tensor,
    guidance: Guidance,
) -> tuple[Tensor, Tensor]:
    """Compute each image's maps for its badge's concept by Contribution and Grad-ECLIP."""
    patches = (pixels.shape[-2] // view.image.patch) * (pixels.shape[-1] // view.image.patch)
    contribution = readout_contribution(
        view.image, run.stream, run.inputs[-1], prompts[concept], patches
    )
    pairs = torch.stack([torch.arange(len(concept), device=concept.device), concept], 1)
    return contribution.detach(), guidance.maps(run, pixels, prompts, pairs)


def share_on(relevance: Tensor, hidden: Tensor) -> Tensor:
    """Share of the positive relevance ``[b, patches]`` on hidden patches: ``[b]``, 0 to 1."""
    positive = relevance.relu()
    whole = positive.sum(-1).clamp_min(torch.finfo(positive.dtype).tiny)
    return (positive * hidden).sum(-1) / whole


@torch.no_grad()
def embed_prompts(view: ModelView) -> Tensor:
    """Embed prompts like "a photo of a dog" for the 32 concepts: unit rows ``[32, e]``."""
    names = load_atlas().names[:CONCEPTS]
    ids = token_ids(view, [PHRASE_TEMPLATE.format(phrase(name)) for name in names])
    return F.normalize(view.text.encode(ids.to(view.image.device)).float(), dim=-1)


@torch.no_grad()
def _recall(view: ModelView, scenes: BadgedScenes, rows: Tensor, prompts: Tensor) -> Tensor:
    pixels = scenes.table.pixels(rows)
    scores = F.normalize(view.image.encode(pixels).float(), dim=-1) @ prompts.T
    present = _concepts_in(scenes, rows)
    hits = _among_best(scores, present.sum(1)) * present
    return hits.sum(1) / present.sum(1)


def _concepts_in(scenes: BadgedScenes, rows: Tensor) -> Tensor:
    """Whether each scene shows each concept: bool ``[b, 32]``."""
    return (scenes.table.concepts[rows][..., None] == torch.arange(
        CONCEPTS, device=rows.device
    )).any(1)  # fmt: skip


def _among_best(scores: Tensor, number: Tensor) -> Tensor:
    """Whether each concept is among the ``number`` ``[b]`` best: 0 or 1, ``[b, concepts]``.

    Ties and NaN count against a concept, so that a collapsed model has accuracy 0.
    """
    no_worse = (~(scores[:, :, None] > scores[:, None])).sum(-1) - 1
    return (no_worse < number[:, None]).float()


def _plain(parts: list[Tensor]) -> Array:
    joined: Array = torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)
    return joined
