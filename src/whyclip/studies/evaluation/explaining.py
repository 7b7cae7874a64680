"""Explanations of one sample by every method of a plan, from one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from whyclip.encoded_prompts import EncodedPrompts
from whyclip.explanation import Explanation
from whyclip.forward.targets import Targets
from whyclip.inputs import ImageSource
from whyclip.models import ModelView
from whyclip.pipeline import run
from whyclip.studies.evaluation.plan import Plan
from whyclip.variant import encode_for

QUESTIONS_KEPT = 256


class Explainer:
    """Explains pictures as :func:`whyclip.compare` does, and remembers prompts it has met.

    Pictures are explained one by one, so that no result depends on which others are near it.
    """

    def __init__(self, model: ModelView, plan: Plan) -> None:
        """Prepare for a model and a plan."""
        self.model, self.plan = model, plan
        self._encoded = lru_cache(QUESTIONS_KEPT)(self._ask)

    def explain(self, image: ImageSource, prompts: Sequence[str]) -> dict[str, Explanation]:
        """Explain one picture for its prompts, by every variant under its name."""
        encoded = self._encoded(tuple(prompts))
        plans, asked = self.plan.methods, self.plan
        found = run(self.model, [image], encoded, plans, asked.geometry, asked.precision)
        for forward_pass in encoded.forward_passes:
            # What is remembered of a prompt shall not hold the graphs of its explanations.
            forward_pass.forget()
        return {name: explanations[0] for name, explanations in found.items()}

    def targets(self, prompts: Sequence[str]) -> Targets:
        """The directions of prompts, as the model's own text tower gives them, on the CPU."""
        found = self._encoded(tuple(prompts)).targets()
        bias = None if found.bias is None else found.bias.cpu()
        return Targets(found.directions.cpu(), found.scale, bias=bias)

    def _ask(self, prompts: tuple[str, ...]) -> EncodedPrompts:
        asked = self.plan
        return encode_for(self.model, prompts, asked.methods, precision=asked.precision)
