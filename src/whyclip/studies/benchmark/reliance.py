"""Reliance of a model on a planted cue, and relevance of each method on it.

The reliance is the cosine with the prompt of the cue's concept, minus the same cosine for the scene
drawn without the cue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from whyclip.models import ModelView, model_inputs
from whyclip.progress import track
from whyclip.scenes.captions import phrase
from whyclip.studies.candidates import prompt_candidates
from whyclip.studies.cases import Case, CaseSetup
from whyclip.studies.family.planted import PlantedScenes
from whyclip.variant import Variant

ORACLE = "object_mask"
"""A planted bad method: the mask of the named object, independent of the model."""


@dataclass(frozen=True)
class Reliance:
    """Measurements of one model on n planted scenes of one cue.

    Attributes:
        cue: name of the cue.
        scores: ``[n]`` cosine with the prompt of the cue's concept.
        drops: ``[n]`` reliance: drop of the cosine in the scene without the cue.
        raw: relevance summed over the cue's patches ``[n]``, by method.
        shares: the same sum divided by the sum of the map's absolute values ``[n]``, by method; 0
            for a map of zeros.
    """

    cue: str
    scores: tuple[float, ...]
    drops: tuple[float, ...]
    raw: Mapping[str, tuple[float, ...]]
    shares: Mapping[str, tuple[float, ...]]

    def to_json(self) -> dict[str, object]:
        """Convert to plain data."""
        return dict(vars(self))

    @staticmethod
    def from_json(kept: Mapping[str, object]) -> Reliance:
        """Read the result of ``to_json``."""
        return Reliance(**kept)  # type: ignore[arg-type]


def measure_reliance(
    model: ModelView, scenes: PlantedScenes, variants: Sequence[Variant]
) -> Reliance:
    """Measure the reliance of a model on a cue, and the relevance of each method on it.

    Args:
        model: a model of the family.
        scenes: scenes with one cue each.
        variants: methods with their options; only methods that explain images are used.
    """
    reading = tuple(v.on(("image",)) for v in variants if "image" in v.sides)
    setup = CaseSetup(model, reading, prompt_candidates(model, scenes, list(scenes)), strict=False)
    raw: dict[str, list[float]] = {ORACLE: [], **{v.label: [] for v in reading}}
    shares: dict[str, list[float]] = {label: [] for label in raw}
    scores, drops = [], []
    for index in track(range(len(scenes)), f"{model.name}, {scenes.cue.name}", len(scenes)):
        sample, name = scenes[index], scenes.cued(index)
        assert sample.interventions is not None
        [uncued] = sample.interventions.images(["uncued"])
        case = setup.explained(setup.case(sample, lambda *_, name=name: [phrase(name)]))
        direction = case.encoded.targets().directions[0].cpu()
        with_cue, without = _cosines(model, [sample.image, uncued.image], direction)
        scores.append(with_cue)
        drops.append(with_cue - without)
        for label, values in _maps(case, name, reading):
            weights = patch_weights(uncued.mask, values.shape)
            on_cue, everything = float((values * weights).sum()), float(values.abs().sum())
            raw[label].append(on_cue)
            shares[label].append(on_cue / everything if everything else 0.0)
        case.release_graphs()
    return Reliance(
        scenes.cue.name, tuple(scores), tuple(drops),
        {label: tuple(row) for label, row in raw.items()},
        {label: tuple(row) for label, row in shares.items()},
    )  # fmt: skip


def _maps(case: Case, name: str, variants: Sequence[Variant]) -> Iterator[tuple[str, Tensor]]:
    """Each method's map ``[gh, gw]``, and the mask of the named object as a map."""
    maps = {}
    for variant in variants:
        heat = case.maps(variant.label)
        assert heat is not None, "the image side is explained"
        maps[variant.label] = heat[0].float().cpu()
    grid = next(iter(maps.values())).shape
    mask = case.mask(name)
    if mask is None:
        mask = np.zeros((case.geometry.height, case.geometry.width), bool)
    yield ORACLE, patch_shares(mask, grid)
    yield from maps.items()


def patch_shares(mask: np.ndarray, grid: Sequence[int]) -> Tensor:
    """Share of each patch covered by a mask ``[H, W]``, ``[gh, gw]``, for an uncropped image."""
    pixels = torch.from_numpy(mask).float()[None, None]
    return F.adaptive_avg_pool2d(pixels, (grid[0], grid[1]))[0, 0]


def patch_weights(mask: np.ndarray, grid: Sequence[int]) -> Tensor:
    """Weight of each patch for a cue: ``[gh, gw]``, 0 to 1.

    For a small cue, every patch that it touches has weight 1, because a method cannot mark part of
    a patch. For a background, the weight is its share of the patch.
    """
    shares = patch_shares(mask, grid)
    return shares if float(shares.mean()) > _LARGE else (shares > 0).float()


_LARGE = 1 / 3


@torch.no_grad()
def _cosines(model: ModelView, images: Sequence[Image.Image], direction: Tensor) -> list[float]:
    """Cosines of images with a unit vector ``[e]``."""
    pixels = torch.stack([pixels for pixels, _ in model_inputs(model, list(images))])
    embeddings = model.image.encode(pixels.to(model.image.device)).float().cpu()
    cosines: list[float] = (F.normalize(embeddings, dim=-1) @ direction).tolist()
    return cosines
