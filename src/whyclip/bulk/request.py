"""Request of a bulk run: everything that determines its rows, and the batch function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from whyclip._version import __version__
from whyclip.ambient import plain_state
from whyclip.api import Request as ExplainRequest
from whyclip.api import by_side, check_request, chosen_variants
from whyclip.batches import Batch, merge_batches
from whyclip.bulk.decode import Ready
from whyclip.encoded_prompts import EncodedPrompts, encode_prompts
from whyclip.errors import InputError, OptionError, PromptError, quoted
from whyclip.explanation import Explanation
from whyclip.forward.run import run_tower
from whyclip.matching.evidence import ReferenceScores, reference_scores
from whyclip.matching.store import Reference
from whyclip.models import ModelView
from whyclip.models.state import check_state, naming_suspects
from whyclip.pipeline import run
from whyclip.studies.identity import model_identity
from whyclip.types import SIDES, Check, GeometryName, Precision, Side
from whyclip.variant import MethodLike, Variant, encode_for

FROM_DATASET = "the dataset's"
NAME = "explain_bulk"


@dataclass(frozen=True)
class Request:
    """The arguments of `whyclip.explain_bulk` that determine the rows.

    Attributes:
        prompts: prompts common to all images; None if each image has its own, or with ``classes``.
        classes: prompts of classes; the ``top`` best-matching ones are explained.
        top: number of predicted classes per image.
        against: prompts to contrast all prompts with.
        method: a name, ``Method`` or ``Variant``; None is the default of each side.
        sides: ``"image"``, ``"text"`` or both.
        geometry: input mode of the images.
        precision: precision of the forward pass.
        check: number of inputs whose score is compared with the model's public entry point.
        options: options of the method.
        reference: result of :func:`whyclip.reference`, for the percentile columns; or None.
    """

    prompts: Any = None
    classes: tuple[str, ...] = ()
    top: int = 1
    against: Any = None
    method: MethodLike | None = None
    sides: Sequence[Side] = SIDES
    geometry: GeometryName = "model"
    precision: Precision = "fp32"
    check: Check = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    reference: Reference | None = None


@dataclass(frozen=True)
class Explained:
    """One image with its explanation, or its fault."""

    ready: Ready
    explanation: Explanation | None
    fault: str = ""


class Explainer:
    """Explain prepared batches with one model; the batch function of every engine.

    Args:
        model: the model.
        request: the request.

    Raises:
        InputError: an argument cannot be used.
        UnsupportedModelError: the model is in training mode.
    """

    def __init__(self, model: ModelView, request: Request) -> None:
        if request.classes and request.prompts is not None:
            raise OptionError("give prompts or classes, not both")
        if request.classes and not 1 <= request.top <= len(request.classes):
            raise OptionError(
                f"top={request.top} of {len(request.classes)} classes; give 1 to "
                f"{len(request.classes)}"
            )
        self.model, self.request = model, request
        stand_in = list(request.classes) or request.prompts
        whole = ExplainRequest(
            [""], stand_in, request.against, request.geometry, request.precision, request.check
        )
        with plain_state(NAME):
            sides = check_request(model, whole, request.sides)
            self.variants = chosen_variants(model, sides, request.method, request.options)
            if request.reference is not None:
                request.reference.check(model, request.geometry)
            self.common = None if request.prompts is None else self._encode(request.prompts)
            self.scores = None if self.common is None else self._reference_scores(self.common)
            self.classes = self._encode_classes() if request.classes else None

    def _encode(self, prompts: Any) -> EncodedPrompts:
        request = self.request
        with naming_suspects(self.model):
            return encode_for(
                self.model,
                prompts,
                self.variants,
                against=request.against,
                precision=request.precision,
                check=request.check,
            )

    def _reference_scores(self, encoded: EncodedPrompts) -> ReferenceScores | None:
        request = self.request
        return reference_scores(self.model, request.reference, encoded, request.geometry)

    def _encode_classes(self) -> EncodedPrompts:
        request = self.request
        return encode_prompts(
            self.model, list(request.classes), precision=request.precision, check=request.check
        )

    def identity(self) -> dict[str, Any]:
        """Describe model, method and request in JSON types."""
        import torch

        request = self.request
        return {
            **model_identity(self.model),
            "whyclip": __version__,
            "torch": torch.__version__,
            "method": [_described(variant) for variant in self.variants],
            "prompts": _labels(self.common) or FROM_DATASET,
            "classes": list(request.classes),
            "top": request.top if request.classes else 0,
            "against": _against(self.common, request.against),
            "geometry": request.geometry,
            "precision": request.precision,
            "check": request.check,
            "reference": None if request.reference is None else request.reference.digest(),
        }

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of all maps; None if they differ between images or there are no maps."""
        if "image" not in self.sides or self.request.geometry == "keep":
            return None
        return self.model.image.native_grid

    @property
    def sides(self) -> set[Side]:
        """The explained sides."""
        return {side for variant in self.variants for side in variant.sides}

    def explain(self, ready: Sequence[Ready]) -> list[Explained]:
        """Explain the images of one batch; an unusable image yields its fault.

        Raises:
            ModelError: the model's scores cannot be explained.
        """
        usable = [one for one in ready if one.batch is not None]
        groups = [[one] for one in usable] if self.request.geometry == "keep" else [usable]
        results: dict[int, Explained] = {}
        with plain_state(NAME), naming_suspects(self.model):
            check_state(self.model)
            for group in groups:
                if group:
                    results.update((one.ready.number, one) for one in self._explain_group(group))
        return [
            results[one.number] if one.number in results else Explained(one, None, one.fault)
            for one in ready
        ]

    def _explain_group(self, group: list[Ready]) -> list[Explained]:
        batch = merge_batches([one.batch for one in group if one.batch is not None])
        if self.common is not None:
            explanations = self._run(batch, self.common, self.scores)
            return [Explained(*pair) for pair in zip(group, explanations, strict=True)]
        prompts = self._predicted(batch) if self.classes else [one.prompts for one in group]
        return self._by_prompts(group, batch, prompts)

    def _by_prompts(
        self, group: list[Ready], batch: Batch, prompts: Sequence[tuple[str, ...] | None]
    ) -> list[Explained]:
        """Explain images with their own prompts: all prompts at once, then select those of each."""
        union = list(dict.fromkeys(prompt for texts in prompts for prompt in texts or ()))
        try:
            explanations = self._explain_prompts(batch, union) if union else []
        except PromptError as error:
            if len(group) == 1:
                return [Explained(group[0], None, str(error))]
            return [
                result
                for ready, texts in zip(group, prompts, strict=True)
                for result in self._by_prompts([ready], merge_batches([_batch(ready)]), [texts])
            ]
        at = {prompt: index for index, prompt in enumerate(union)}
        results = []
        for index, (ready, texts) in enumerate(zip(group, prompts, strict=True)):
            if not texts:
                results.append(Explained(ready, None, "the image has no prompt"))
                continue
            results.append(Explained(ready, explanations[index][[at[prompt] for prompt in texts]]))
        return results

    def _predicted(self, batch: Batch) -> list[tuple[str, ...]]:
        """The best-matching classes of each image, the best first."""
        assert self.classes is not None
        scores = self.class_scores(batch)
        best = scores.argsort(dim=-1, descending=True, stable=True)[:, : self.request.top]
        return [tuple(self.request.classes[i] for i in row) for row in best.tolist()]

    def class_scores(self, batch: Batch) -> Tensor:
        """Compute the match scores of images and all classes: ``[b, classes]``."""
        assert self.classes is not None
        targets = self.classes.own_targets()
        forward_pass = run_tower(
            self.model.image, batch.model_input, targets, keep=0, precision=self.request.precision
        )
        return targets.score(forward_pass.public).cpu()

    def _explain_prompts(self, batch: Batch, prompts: list[str]) -> list[Explanation]:
        encoded = self._encode(prompts)
        return self._run(batch, encoded, self._reference_scores(encoded))

    def _run(
        self, batch: Batch, encoded: EncodedPrompts, scores: ReferenceScores | None
    ) -> list[Explanation]:
        request = self.request
        return by_side(
            run(
                self.model,
                batch,
                encoded,
                self.variants,
                request.geometry,
                request.precision,
                request.check,
                scores,
            )
        )


def _batch(ready: Ready) -> Batch:
    assert ready.batch is not None
    return ready.batch


def _described(variant: Variant) -> dict[str, Any]:
    return {
        "name": variant.method.name,
        "options": {name: str(value) for name, value in variant.settings.items()},
        "sides": list(variant.sides),
    }


def _labels(encoded: EncodedPrompts | None) -> list[str | list[str]]:
    return [] if encoded is None else [_plain(prompt.label) for prompt in encoded.prompts]


def _plain(label: str | tuple[str, ...]) -> str | list[str]:
    """A prompt in JSON types: an ensemble is a list."""
    return label if isinstance(label, str) else list(label)


def _against(encoded: EncodedPrompts | None, given: Any) -> list[str | list[str]]:
    if given is None:
        return []
    if encoded is not None:
        return [_plain(prompt.label) for prompt in encoded.others]
    if isinstance(given, str):
        return [given]
    if not all(isinstance(text, str) for text in given):
        raise InputError(f"against={quoted(given)}: give strings")
    return list(given)
