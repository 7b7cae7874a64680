"""A sample, decoded once and explained by all variants with one forward pass per encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from whyclip.assemble import SideResult
from whyclip.batches import batches
from whyclip.datasets import Sample
from whyclip.datasets.annotation_files import Mask
from whyclip.datasets.dataset import same_size
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import pass_check
from whyclip.forward.targets import Targets
from whyclip.image_pass import ImagePass, run_images
from whyclip.models import ModelView
from whyclip.models.entry import answers_as_a_whole
from whyclip.models.state import is_altered
from whyclip.perturbation.fills import Pixels
from whyclip.pipeline import attribute, check_results, check_whole, notes_on
from whyclip.resample import resample_to_image
from whyclip.studies.candidates import Candidates
from whyclip.types import Geometry, GeometryName, Precision, Side, Word
from whyclip.variant import Variant, encode_for

PROMPTS_KEPT = 256

# Chooses a sample's prompts by the scores [c] of the candidates.
ChoosePrompts = Callable[[Sample, Tensor], Sequence[str]]


@dataclass(frozen=True)
class Case:
    """A sample with the model's forward passes and the results of every variant.

    Attributes:
        sample: the sample.
        decoded: its image; None if it was released, see :attr:`image`.
        images: the image's forward passes, with the prompts as targets.
        prompts: the m explained prompts.
        encoded: the prompts with the text encoder's forward passes.
        candidate_scores: ``[c]``, the model's score of every candidate.
        notes: warnings, for example that the image is out of distribution.
        results: results of every variant by label, for each side that it explains.
    """

    sample: Sample
    decoded: Image.Image | None
    images: ImagePass
    prompts: tuple[str, ...]
    encoded: EncodedPrompts
    candidate_scores: Tensor
    notes: tuple[str, ...]
    results: Mapping[str, Mapping[Side, SideResult]]

    @property
    def image(self) -> Image.Image:
        """The image; it is read again only if it was released."""
        return self.sample.image if self.decoded is None else self.decoded

    @property
    def forward_pass(self) -> ForwardPass:
        """The explained forward pass of the image encoder."""
        return self.images.forward_pass

    @property
    def pixels(self) -> Tensor:
        """``[1, 3, H, W]`` the explained input."""
        return self.images.batch.pixels

    @property
    def geometry(self) -> Geometry:
        """Position of the patch grid on the image."""
        return self.images.batch.geometries[0]

    @property
    def image_target(self) -> Targets:
        """The image embedding ``[1, e]``, the target of text explanations."""
        return Targets(F.normalize(self.forward_pass.embedding, dim=-1), self.encoded.scale)

    @property
    def own_direction(self) -> Tensor:
        """Unit embedding ``[e]`` of the image with the library's preprocessing, on the CPU."""
        return F.normalize(self.images.library_pass.embedding[0].float().cpu(), dim=-1)

    def maps(self, label: str) -> Tensor | None:
        """Relevance ``[m, gh, gw]`` by one variant; None if it does not explain images."""
        result = self.results[label].get("image")
        return None if result is None or result.maps is None else result.maps[0]

    def words(self, label: str) -> tuple[tuple[Word, ...], ...]:
        """Words of each prompt by one variant; empty if it does not explain text."""
        result = self.results[label].get("text")
        if result is None or result.words is None:
            return ((),) * len(self.prompts)
        return result.words[0]

    def heatmap(self, maps: Tensor) -> Tensor:
        """Resample maps ``[n, gh, gw]`` to the image ``[n, H, W]``; NaN outside the crop."""
        return resample_to_image(maps, self.geometry)

    def without_ignored(self, heatmap: Tensor) -> Tensor:
        """Set a heatmap ``[n, H, W]`` to NaN where the sample has no annotation.

        Raises:
            InputError: the mask of ignored parts does not match the image.
        """
        ignored = self.sample.ignored
        if ignored is None:
            return heatmap
        same_size(ignored, self.geometry.height, self.geometry.width, "the mask of ignored parts")
        return heatmap.masked_fill(torch.from_numpy(ignored), float("nan"))

    def mask(self, label: str) -> Mask | None:
        """Mask of a label in the image; None if there is none.

        Raises:
            InputError: the mask does not match the image.
        """
        mask = (self.sample.masks or {}).get(label)
        if mask is None:
            return None
        height, width = self.geometry.height, self.geometry.width
        return same_size(mask, height, width, f"the mask of {label!r:.60}")

    def light(self) -> Case:
        """A copy without images, block inputs and results, which use most of its memory."""
        images = self.images
        forward_pass = replace(images.forward_pass, states={})
        images = ImagePass(replace(images.batch, images=()), forward_pass, forward_pass)
        encoded = replace(self.encoded, forward_passes=())
        return replace(self, decoded=None, images=images, encoded=encoded, results={})

    def release_graphs(self) -> None:
        """Release the autograd graphs of recomputed blocks, which cached prompts must not keep."""
        for forward_pass in (self.forward_pass, *self.encoded.forward_passes):
            forward_pass.forget()


@dataclass
class CaseSetup:
    """Settings for every sample of a study.

    Attributes:
        model: the model.
        variants: methods with their options, each with the sides to explain.
        candidates: candidates for classifying an image.
        geometry: geometry of the explained input.
        precision: precision of the forward passes.
        strict: whether it is an error if a method explains another score than it declares; an audit
            measures the difference instead.
        blocks_kept: fewest last blocks to keep for each encoder with accessible blocks.
        prompts_kept: number of samples whose encoded prompts are cached.
    """

    model: ModelView
    variants: tuple[Variant, ...]
    candidates: Candidates
    geometry: GeometryName = "model"
    precision: Precision = "fp32"
    strict: bool = True
    blocks_kept: int = 0
    prompts_kept: int = PROMPTS_KEPT
    encoded: Callable[[tuple[str, ...]], EncodedPrompts] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Create the cache of encoded prompts."""
        self.encoded = lru_cache(self.prompts_kept)(self.encode)

    @property
    def image_blocks(self) -> int:
        """Number of last blocks of the image encoder that are used."""
        tower = self.model.image
        least = 0 if tower.opaque else self.blocks_kept
        return max([least, *(variant.blocks_needed(tower) for variant in self.variants)])

    def encode(self, prompts: Sequence[str], model: ModelView | None = None) -> EncodedPrompts:
        """Encode prompts for every variant, by this model or a copy of it."""
        hidden = self.model.classes is not None or self.model.text.opaque
        return encode_for(
            model or self.model,
            list(prompts),
            self.variants,
            keep=0 if hidden else self.blocks_kept,
            precision=self.precision,
        )

    def prompt_targets(self, prompts: Sequence[str]) -> Targets:
        """Embeddings of prompts by the model's text encoder, on the CPU."""
        return self.encoded(tuple(prompts)).targets().to("cpu")

    def case(self, sample: Sample, choose: ChoosePrompts) -> Case:
        """Run one sample through the model and choose its prompts, without explaining them.

        Images run one at a time, so that no result depends on other images.

        Args:
            sample: the sample; its image is decoded here, once.
            choose: function that chooses its prompts from the scores of the candidates.

        Raises:
            InputError: the image cannot be read.
            ModelError: the model's forward pass cannot be reproduced.
        """
        model, decoded = self.model, sample.image
        targets = self.candidates.targets.to(model.image.device)
        [batch] = batches(model, [np.asarray(decoded)], self.geometry)
        how = pass_check("auto", altered=is_altered(model))
        images = run_images(model, batch, targets, self.image_blocks, self.precision, how)
        scores = targets.score(images.library_pass.embedding)[0].cpu()
        prompts = tuple(choose(sample, scores))
        encoded = self.encoded(prompts)
        images = images.with_targets(encoded.targets())
        [notes] = notes_on(model, images)
        return Case(sample, decoded, images, prompts, encoded, scores, notes, {})

    def explained(self, case: Case) -> Case:
        """Explain a case by every variant.

        Raises:
            ModelError: ``strict`` is set, and the score of a method or of the model differs from
                the explained score or is not finite.
        """
        encoded, images = case.encoded, case.images
        results: dict[str, Mapping[Side, SideResult]] = {}
        own_scores = encoded.own_targets().score(case.forward_pass.public).cpu()
        if self.strict and answers_as_a_whole(self.model):
            check_whole(self.model, encoded, images.library_pixels, images.library_pass)
        for variant in self.variants:
            sides = attribute(variant, encoded, case.forward_pass)
            if self.strict:
                check_results(self.model, encoded, images.library_pass, variant, sides, own_scores)
            results[variant.label] = sides
        return replace(case, results=results)


def pixels_of(case: Case) -> Pixels:
    """The image as uint8 ``[H, W, 3]``, for perturbation."""
    return np.asarray(case.image)


def background_of(case: Case) -> Pixels | None:
    """The image without its objects; None if it is not available."""
    interventions = case.sample.interventions
    return None if interventions is None else interventions.background
