"""Compute plain JSON or a file for a request, in the worker's thread."""

from __future__ import annotations

import json
from typing import Any

from whyclip.ambient import plain_state
from whyclip.api import by_side, chosen_variants
from whyclip.errors import OptionError, quoted
from whyclip.explanation import Explanation
from whyclip.interactions import interaction
from whyclip.models import ModelView
from whyclip.render import comparison, figure, figure_bytes, page
from whyclip.selection import select_variants
from whyclip.storage import encoded, to_json
from whyclip.types import SIDES, GeometryName, Side
from whyclip.variant import Variant
from whyclip.web.request import DEFAULT, WebRequest
from whyclip.web.state import Kept
from whyclip.web.uploads import Upload

MEDIA = {
    "html": "text/html; charset=utf-8",
    "png": "image/png",
    "svg": "image/svg+xml",
    "json": "application/json",
}
# A variant with a modified computation, to show the certificate in this case.
_PUBLISHED = "grad_eclip:heads=single"


class Answers:
    """Computations on behalf of visitors.

    Args:
        kept: cached images and forward passes.
    """

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.offered = offered(kept.view)
        self._chosen: dict[tuple[str, tuple[Side, ...]], list[Variant]] = {}

    @property
    def slow_default(self) -> bool:
        """Whether a default method runs the model many times, as for encoders without attention."""
        return any(variant.method.slow for variant in self._variants(DEFAULT, SIDES))

    def explain(self, request: WebRequest) -> dict[str, Any]:
        """Explain with one or two methods.

        Raises:
            WhyclipError: as :func:`whyclip.explain`.
        """
        entries = [
            {"method": name, "explanation": to_json(explanation)}
            for name, explanation in self._explanations(request).items()
        ]
        return {"image": self.kept.require(request.image).to_json(), "entries": entries}

    def table(self, request: WebRequest) -> dict[str, Any]:
        """Compute the word–region relevance of the first prompt.

        Raises:
            WhyclipError: as :func:`whyclip.interaction`.
        """
        upload = self.kept.require(request.image)
        return word_patch_table(self.kept.view, upload, request.prompts[0], request.geometry)

    def download(self, request: WebRequest, kind: str) -> bytes:
        """Write the result as a file: ``"html"``, ``"png"``, ``"svg"`` or ``"json"``.

        Raises:
            WhyclipError: as :func:`whyclip.explain`, or an unknown kind.
        """
        if kind not in MEDIA:
            raise OptionError(f"unknown kind of file {quoted(kind)}; known: {', '.join(MEDIA)}")
        explanations = self._explanations(request)
        alone = next(iter(explanations.values())) if len(explanations) == 1 else None
        if kind == "html":
            return page(list(explanations.values())).encode()
        if kind == "json":
            if alone is not None:
                return encoded(alone, ".json")
            records = {name: to_json(one) for name, one in explanations.items()}
            return json.dumps(records, indent=1, allow_nan=False).encode()
        drawn = comparison(explanations) if alone is None else figure(alone)
        return figure_bytes(drawn, kind)

    def _explanations(self, request: WebRequest) -> dict[str, Explanation]:
        upload = self.kept.require(request.image)
        explanations: dict[str, Explanation] = {}
        with plain_state("whyclip web"):
            for name in request.methods:
                variants = self._variants(name, request.sides)
                results = self.kept.explain(
                    upload, request.prompts, request.against, request.geometry, variants
                )
                by_label = {str(number): [result] for number, result in enumerate(results)}
                [explanation] = by_side(by_label)
                explanations[_title(name, explanation)] = explanation
        return explanations

    def _variants(self, name: str, sides: tuple[Side, ...]) -> list[Variant]:
        """Choose the variants of a method, cached because they depend only on the model."""
        view = self.kept.view
        if view.classes is not None:
            sides = ("image",)
        if (name, sides) not in self._chosen:
            method = None if name == DEFAULT else name
            self._chosen[name, sides] = chosen_variants(view, sides, method, {})
        return self._chosen[name, sides]


def word_patch_table(
    view: ModelView, upload: Upload, prompt: str, geometry: GeometryName
) -> dict[str, Any]:
    """Compute the word–region relevance of a prompt and an image, in plain JSON types.

    ``values`` has, for each word, the contributions of its patches to the score, row by row. Only
    this function uses :class:`whyclip.Interaction`.

    Raises:
        WhyclipError: as :func:`whyclip.interaction`.
    """
    table = interaction(view, upload.open(), prompt, geometry=geometry)
    where = table.geometry
    return {
        "prompt": prompt,
        "words": [
            {"word": w.text, "start": w.start, "end": w.end, "relevance": w.relevance}
            for w in table.words
        ],
        "grid": list(table.matrix.shape[1:]),
        "box": list(where.box),
        "image": {"width": where.width, "height": where.height},
        "values": table.matrix.flatten(1).tolist(),
        "score": table.score,
        "total": table.total,
    }


def offered(view: ModelView) -> dict[str, dict[str, Any]]:
    """Describe the available methods by their spelling; visitors cannot set options."""
    variants = list(select_variants(view, sides=SIDES, slow=True).variants)
    if any(variant.label == "grad_eclip" for variant in variants):
        variants += select_variants(view, [_PUBLISHED], SIDES).variants
    return {variant.spelling: _described(variant) for variant in variants}


def _described(variant: Variant) -> dict[str, Any]:
    method = variant.method
    options = variant.spelling.partition(":")[2].replace(":", ", ")
    return {
        "title": f"{method.title} ({options})" if options else method.title,
        "summary": method.summary,
        "sides": list(variant.sides),
        "slow": method.slow,
        "source": method.source,
        "textSpecific": method.text_specific,
    }


def _title(name: str, explanation: Explanation) -> str:
    return explanation.method if name == DEFAULT else name
