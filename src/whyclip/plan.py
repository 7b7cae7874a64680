"""Which methods read what: methods with their options, and what they need of a question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whyclip.capture import Capture
from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.methods import Method, Relevance
from whyclip.model import ModelView, Tower
from whyclip.question import Question, ask
from whyclip.types import Check, Precision, Side

# Beyond this many, targets are taken in turn, so that memory does not grow with their number.
TARGETS_AT_ONCE = 64


@dataclass(frozen=True)
class Plan:
    """A method with its options, and the sides it shall read."""

    method: Method
    options: Mapping[str, Any]
    sides: tuple[Side, ...]

    def reach(self, tower: Tower) -> int:
        """How many last blocks of a tower are read.

        Raises:
            UnsupportedModelError: some, of a tower that shows none.
        """
        if tower.side not in self.sides:
            return 0
        if self.blind(tower):
            raise UnsupportedModelError(
                f"method {self.method.name!r} reads attention, but of this model's {tower.side} "
                f"tower there is none to read: {tower.opaque}; methods that only change the "
                "input work: occlusion, rise, kernel_shap, leave_one_out"
            )
        return self.method.reach(tower, self.options)

    def blind(self, tower: Tower) -> bool:
        """Whether the method reads blocks of a tower that shows none."""
        if not tower.opaque:
            return False
        try:
            return self.method.reach(tower, self.options) > 0
        except OptionError:
            return True

    def why_not(self, tower: Tower) -> str:
        """Why the method, with its options, cannot read this tower; empty if it can."""
        if self.blind(tower):
            return f"no attention to read in the {tower.side} tower: {tower.opaque}"
        try:
            self.reach(tower)
        except OptionError as error:
            return str(error)
        return ""

    def relevance(self, capture: Capture) -> Relevance:
        """Run the method, some targets at a time; keep the values of content tokens only.

        Of an image these are the patches, the same for all inputs; of a text all positions.
        """
        n, e = len(capture.targets), capture.embedding.shape[-1]
        read = capture.content[0] if capture.side == "image" else slice(None)
        whole = None
        checks: list[Mapping[str, Tensor]] = []
        at_once = n if self.method.joint else TARGETS_AT_ONCE
        for start in range(0, n, at_once):
            part = slice(start, start + at_once)
            aimed = capture.aim(capture.targets[part], by_jacobian=n > e)
            found = self.method.relevance(aimed, **self.options)
            values = found.values[:, :, read]
            if whole is None:
                whole = values.new_empty(len(values), n, values.shape[-1])
            whole[:, part] = values
            checks.append(found.checks)
        assert whole is not None, "a question has at least one prompt"
        joined = {name: torch.cat([c[name] for c in checks], 1).cpu() for name in checks[0]}
        return Relevance(whole, found.embedding, found.changes, joined)


def ask_for(
    model: ModelView,
    prompts: Any,
    plans: Iterable[Plan],
    *,
    against: Any = None,
    keep: int = 0,
    precision: Precision = "fp32",
    check: Check = "auto",
) -> Question:
    """Encode prompts so that every plan can read them.

    Args:
        model: the model.
        prompts: as :func:`~whyclip.question.ask` takes them, like ``against``.
        plans: what will read them.
        against: likewise.
        keep: how many last text blocks are kept in any case.
        precision: of the forward pass.
        check: how many strings go through the model's public entry point.
    """
    plans = list(plans)
    return ask(
        model,
        prompts,
        against,
        keep=max([keep, *(plan.reach(model.text) for plan in plans)]),
        whole_context=any(plan.options.get("norm_over") == "context" for plan in plans),
        empty=any(plan.method.empty and "image" in plan.sides for plan in plans),
        precision=precision,
        check=check,
    )
