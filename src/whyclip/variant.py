"""A method with its options: type, spelling, and requirements on model and prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, Union

import torch
from torch import Tensor

from whyclip.encoded_prompts import EncodedPrompts, encode_prompts
from whyclip.errors import OptionError, UnsupportedModelError, quoted, unknown
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import METHODS, Method, Relevance, get_method
from whyclip.models import ModelView, Tower
from whyclip.options import parse, spelled
from whyclip.types import Check, Precision, Side

# Largest number of targets at once, so that memory does not grow with their number.
TARGETS_AT_ONCE = 64

MethodLike: TypeAlias = Union[str, Method, "Variant"]
"""``"grad_eclip"``, ``"grad_eclip:heads=single"``, a method, or a method with its options."""


@dataclass(frozen=True)
class Variant:
    """A method with its options, under a label.

    Attributes:
        method: the method; see :meth:`of` for its name.
        options: values by name, checked against the annotations of the method's function.
        label: its name in results; by default its :attr:`spelling`.
        sides: the sides to explain; by default all that the method supports.

    Raises:
        OptionError: an unknown option, or a side that the method does not support.
    """

    method: Method
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    sides: tuple[Side, ...] = ()

    def __post_init__(self) -> None:
        """Check the options; fill in label and sides."""
        settings = self.method.complete(self.options)
        options = {name: settings[name] for name in self.options}
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "_settings", settings)
        object.__setattr__(self, "label", self.label or self.spelling)
        object.__setattr__(self, "sides", self.sides or self.method.sides)

    @classmethod
    def of(cls, given: MethodLike, label: str = "") -> Variant:
        """Make a variant from a name, a spelling, a method, or a variant.

        Args:
            given: such as ``"grad_eclip"`` or ``"grad_eclip:heads=single:relu=false"``.
            label: its name in results; by default the spelling, or its current label.

        Raises:
            OptionError: an unknown method or option; the message names the nearest.

        Example:
            >>> Variant.of("grad_eclip:heads=single").settings["heads"]
            'single'
        """
        if isinstance(given, Variant):
            return replace(given, label=label) if label else given
        if isinstance(given, Method):
            return cls(given, label=label)
        if not isinstance(given, str):
            raise unknown("method", given, METHODS)
        name, options = _parsed(given)
        return cls(get_method(name), options, label)

    @property
    def spelling(self) -> str:
        """The method's name and the given options, as :meth:`of` parses them."""
        return spelled(self.method.name, self.options)

    @property
    def settings(self) -> Mapping[str, Any]:
        """All options of the method, including defaults."""
        settings: Mapping[str, Any] = self._settings  # type: ignore[attr-defined]
        return settings

    def on(self, sides: Sequence[Side]) -> Variant:
        """Restrict the variant to some of its sides."""
        return replace(self, sides=tuple(sides))

    def blocks_needed(self, tower: Tower) -> int:
        """Number of last blocks of an encoder that the method needs.

        Raises:
            UnsupportedModelError: the method needs blocks, but the encoder exposes none.
        """
        if tower.side not in self.sides:
            return 0
        if self.blind(tower):
            raise UnsupportedModelError(
                f"method {self.method.name!r} needs attention pooling, but this {tower.side} "
                f"encoder exposes none: {tower.opaque}; black-box methods work: occlusion, rise, "
                "kernel_shap, leave_one_out"
            )
        return self.method.blocks_needed(tower, self.settings)

    def blind(self, tower: Tower) -> bool:
        """Whether the method needs blocks, but the encoder exposes none."""
        if not tower.opaque:
            return False
        try:
            return self.method.blocks_needed(tower, self.settings) > 0
        except OptionError:
            return True

    def obstacle(self, tower: Tower) -> str:
        """Reason why the method with its options does not support an encoder; empty if it does."""
        if self.blind(tower):
            return f"no attention pooling in the {tower.side} encoder: {tower.opaque}"
        try:
            self.blocks_needed(tower)
        except OptionError as error:
            return str(error)
        return ""

    def relevance(self, forward_pass: ForwardPass) -> Relevance:
        """Run the method in chunks of targets; return the values of content tokens.

        For an image, these are the patches, the same for all inputs; for a text, all positions.
        """
        n, e = len(forward_pass.targets), forward_pass.embedding.shape[-1]
        read = forward_pass.content_mask[0] if forward_pass.side == "image" else slice(None)
        relevance = None
        checks: list[Mapping[str, Tensor]] = []
        at_once = n if self.method.all_targets_at_once else TARGETS_AT_ONCE
        for start in range(0, n, at_once):
            part = slice(start, start + at_once)
            aimed = forward_pass.with_targets(forward_pass.targets[part], use_jacobian=n > e)
            part_result = self.method.relevance(aimed, **self.settings)
            values = part_result.values[:, :, read]
            if relevance is None:
                relevance = values.new_empty(len(values), n, values.shape[-1])
            relevance[:, part] = values
            checks.append(part_result.diagnostics)
        assert relevance is not None, "at least one prompt is needed"
        diagnostics = {name: torch.cat([c[name] for c in checks], 1).cpu() for name in checks[0]}
        return Relevance(relevance, part_result.embedding, part_result.changes, diagnostics)


def _parsed(spelling: str) -> tuple[str, dict[str, Any]]:
    """Read ``name:key=value:key=value``, or ``name[key=value,key=value]`` of files before 0.2."""
    if spelling.endswith("]") and "[" in spelling:
        name, _, rest = spelling[:-1].partition("[")
        pairs = rest.split(",")
    else:
        name, *pairs = spelling.split(":")
    return name, parse(name, get_method(name).relevance, pairs, flag=f"method {quoted(name)}: ")


def encode_for(
    model: ModelView,
    prompts: Any,
    variants: Iterable[Variant],
    *,
    against: Any = None,
    keep: int = 0,
    precision: Precision = "fp32",
    check: Check = "auto",
) -> EncodedPrompts:
    """Encode prompts with everything that the variants need.

    Args:
        model: the model.
        prompts: in a form that :func:`~whyclip.encoded_prompts.encode_prompts` accepts.
        variants: the variants.
        against: contrast prompts, in the same form.
        keep: minimum number of last text blocks to keep.
        precision: of the forward pass.
        check: how many strings go through the model's public entry point.
    """
    variants = list(variants)
    return encode_prompts(
        model,
        prompts,
        against,
        keep=max([keep, *(variant.blocks_needed(model.text) for variant in variants)]),
        whole_context=any(variant.settings.get("norm_over") == "context" for variant in variants),
        empty=any(v.method.needs_empty_prompt and "image" in v.sides for v in variants),
        precision=precision,
        check=check,
    )
