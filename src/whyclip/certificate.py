"""The certificate of an explanation: three separate statements.

- the score check compares the explained score with the score of the user's model on this input;
- the scope states the source of the map;
- the audit states whether the method's maps are consistent with the model's behaviour on a
dataset.

None of them implies another: a random map passes the score check, and a map whose score is the
model's own can still be wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from whyclip.types import SIDES, Scope, Side

ScoreCheck = Literal["passed", "failed", "not run"]
InputKind = Literal["image", "pixels"]

PIXELS_ONLY = (
    "input: preprocessed pixels; whyclip did not see the original image, so the preprocessing is "
    "not checked"
)

DERIVED_FROM: Mapping[Scope, str] = {
    "score": "derived from the model's score",
    "attention": "derived from the model's attention, not from its score",
    "features": "derived from features of the model, not from its score",
    "baseline": "random baseline: not derived from the model",
    "unverified": "derived from an unverified source: a user-defined method",
}
"""For each scope, a statement of the source of a map."""

EXPLAINS_SCORE = "explains the model's score"


@dataclass(frozen=True)
class Certificate:
    """Statement of the explained score and input, and of how they were checked.

    Attributes:
        score_model: for each of the n prompts, the model's score through its public entry
            point, for the image as the library's own pipeline prepares it.
        scores: for each side, the explained score of each prompt.
        modified_computation: every way in which the explained computation differs from the
            model's, such as another number of heads.
        modified_input: every way in which the explained input differs from what the library's
            own pipeline makes of the image, such as padding.
        scope: for each side, the source of the relevance; see :data:`DERIVED_FROM`.
        checked: for each side, the number of inputs run through the model's public entry point,
            and their total. ``(1, 1)`` for the image means this image; prompts are counted as
            strings. Empty if nothing was run.
        diagnostics: for each prompt, numerical errors of the method, such as the completeness
            error.
        precision: of the forward pass.
        tolerance: largest difference of the two scores that rounding can explain.
        input: ``"image"``, or ``"pixels"`` if the caller gave preprocessed pixels. Then the scores
            are compared on these pixels, and the preprocessing is not checked.

    Source: Cui & Fan 2026 (arXiv 2605.12952), "explain the model itself".
    """

    score_model: tuple[float, ...]
    scores: Mapping[Side, tuple[float, ...]]
    modified_computation: tuple[str, ...] = ()
    modified_input: tuple[str, ...] = ()
    scope: Mapping[Side, Scope] = field(default_factory=dict)
    checked: Mapping[Side, tuple[int, int]] = field(default_factory=dict)
    diagnostics: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    precision: str = "fp32"
    tolerance: float = 1e-4
    input: InputKind = "image"

    @property
    def input_statement(self) -> str:
        """Describe the unchecked part of the input; empty if whyclip read the image itself."""
        return PIXELS_ONLY if self.input == "pixels" else ""

    @property
    def changes(self) -> tuple[str, ...]:
        """Every modification, of the input and of the computation."""
        return (*self.modified_input, *self.modified_computation)

    @property
    def gap(self) -> float:
        """Largest ``|explained score − model score|`` over sides and prompts; NaN if any is."""
        differences = [
            abs(explained - model)
            for scores in self.scores.values()
            for explained, model in zip(scores, self.score_model, strict=True)
        ]
        if any(map(math.isnan, differences)):
            return float("nan")
        return max(differences, default=0.0)

    @property
    def score_check(self) -> ScoreCheck:
        """Whether the explained score equals the model's score on this input."""
        if not self.checked or any(done == 0 for done, _ in self.checked.values()):
            return "not run"
        return "passed" if self.gap <= self.tolerance else "failed"

    @property
    def checked_on(self) -> str:
        """Say which inputs the score check ran on, such as ``"checked on this input"``."""
        if self.score_check == "not run":
            return "not checked against the model"
        partly = [
            f"{done:,} of {total:,} {'images' if side == 'image' else 'prompts'}"
            for side, (done, total) in self.checked.items()
            if done < total
        ]
        return f"checked on {' and '.join(partly)}" if partly else "checked on this input"

    @property
    def score_statement(self) -> str:
        """Describe the score check, with the two scores that differ most."""
        if self.score_check == "not run":
            return "score check not run"
        explained, model = self.worst
        same = "passed" if self.score_check == "passed" else "failed"
        return (
            f"score check {same}: explained score {explained:.4g}, model score {model:.4g} "
            f"(difference {self.gap:.1e}, {self.checked_on})"
        )

    @property
    def worst(self) -> tuple[float, float]:
        """Return the explained score and the model's, where they differ most."""
        pairs = [
            (explained, model)
            for scores in self.scores.values()
            for explained, model in zip(scores, self.score_model, strict=True)
        ]
        pairs = pairs or [(score, score) for score in self.score_model] or [(0.0, 0.0)]
        return max(pairs, key=lambda pair: abs(pair[0] - pair[1]))

    @property
    def scope_statement(self) -> str:
        """Describe the source of maps and words; one sentence if both agree."""
        named = {side: DERIVED_FROM[self.scope[side]] for side in SIDES if side in self.scope}
        if len(set(named.values())) <= 1:
            return next(iter(named.values()), "")
        titles = {"image": "image", "text": "words"}
        return "; ".join(f"{titles[side]}: {sentence}" for side, sentence in named.items())

    @property
    def explains_score(self) -> bool:
        """True if the score check passed, nothing was modified and every scope is the score."""
        return (
            self.score_check == "passed"
            and not self.changes
            and bool(self.scope)
            and all(scope == "score" for scope in self.scope.values())
        )

    @property
    def verdict(self) -> str:
        """The most important statement, in a few words."""
        if self.explains_score:
            return EXPLAINS_SCORE
        if "baseline" in self.scope.values():
            return "random baseline, explains nothing"
        if self.modified_computation:
            return "explains a modified computation"
        if self.modified_input:
            return "explains a modified input"
        if self.score_check != "passed":
            return f"score check {self.score_check}"
        return self.scope_statement or "scope unknown"

    def of(self, prompts: Sequence[int]) -> Certificate:
        """Return the certificate of some prompts, by index."""

        def pick(values: tuple[float, ...]) -> tuple[float, ...]:
            return tuple(values[index] for index in prompts)

        return replace(
            self,
            score_model=pick(self.score_model),
            scores={side: pick(scores) for side, scores in self.scores.items()},
            diagnostics={name: pick(values) for name, values in self.diagnostics.items()},
        )

    def __str__(self) -> str:
        parts = (
            self.score_statement,
            self.input_statement,
            self.scope_statement,
            *self.changes,
        )
        return "; ".join(part for part in parts if part)


def certificate_to_json(certificate: Certificate) -> dict[str, Any]:
    """Convert a certificate to plain JSON types, without the model's scores."""
    return {
        "verdict": certificate.verdict,
        "explains_score": certificate.explains_score,
        "score_check": certificate.score_check,
        "statements": [
            certificate.score_statement,
            *filter(None, [certificate.input_statement]),
            certificate.scope_statement,
        ],
        "input": certificate.input,
        "gap": certificate.gap,
        "scope": dict(certificate.scope),
        "checked": {side: list(counts) for side, counts in certificate.checked.items()},
        "modified_computation": list(certificate.modified_computation),
        "modified_input": list(certificate.modified_input),
        "diagnostics": {name: list(values) for name, values in certificate.diagnostics.items()},
        "precision": certificate.precision,
        "tolerance": certificate.tolerance,
        "scores": {side: list(scores) for side, scores in certificate.scores.items()},
    }


def certificate_of(record: Mapping[str, Any], score_model: tuple[float, ...]) -> Certificate:
    """Read a certificate from plain JSON types.

    Files of versions before 0.2 do not record what was checked; their score check is
    ``"not run"``.
    """
    changes = tuple(record.get("changes", ()))
    of_input = tuple(change for change in changes if _is_of_input(change))
    of_computation = tuple(change for change in changes if not _is_of_input(change))
    diagnostics = record.get("diagnostics", record.get("checks", {}))
    return Certificate(
        score_model=score_model,
        scores={side: tuple(scores) for side, scores in record["scores"].items()},
        modified_computation=tuple(record.get("modified_computation", of_computation)),
        modified_input=tuple(record.get("modified_input", of_input)),
        scope=dict(record.get("scope", {})),
        checked={side: (done, of) for side, (done, of) in record.get("checked", {}).items()},
        diagnostics={name: tuple(values) for name, values in diagnostics.items()},
        precision=record["precision"],
        tolerance=record["tolerance"],
        input=record.get("input", "image"),
    )


def _is_of_input(change: str) -> bool:
    return "geometry" in change or change.startswith("position embeddings")
