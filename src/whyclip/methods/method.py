"""The type of a method: a function on a forward pass, and a declaration of its claims."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Literal, get_args, get_origin

from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.models.tower import Tower
from whyclip.options import hints_of, options_of, validate
from whyclip.types import SIDES, Scope, Side

OWN_METHODS = "whyclip.methods."


@dataclass(frozen=True)
class Relevance:
    """Result of a method.

    Attributes:
        values: ``[b, n, t]`` signed, unnormalised relevance of every token.
        embedding: ``[b, e]`` output of the explained computation, whose score the certificate
            compares with the model's own.
        changes: differences of that computation from the model's; empty if there are none.
        diagnostics: values ``[b, n]`` by name that measure numerical errors, such as the
            completeness error; they are part of the certificate.
    """

    values: Tensor
    embedding: Tensor
    changes: tuple[str, ...] = ()
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


def input_only(tower: Tower, options: Mapping[str, Any]) -> int:
    """Declare that a method is black-box and needs no block."""
    del tower, options
    return 0


def every_block(tower: Tower, options: Mapping[str, Any]) -> int:
    """Declare that a method needs all blocks from ``start_layer``, or from the first."""
    return len(tower.blocks) - first_layer(tower, options.get("start_layer", 0))


def first_layer(tower: Tower, start_layer: int) -> int:
    """Resolve a layer index counted from the start, or from the end if negative.

    Raises:
        OptionError: the encoder does not have this layer.
    """
    return layer_index(tower, "start_layer", start_layer)


def layer_index(tower: Tower, name: str, layer: int) -> int:
    """Resolve an option's layer index, counted from the start, or from the end if negative.

    Raises:
        OptionError: the encoder does not have it.
    """
    depth = len(tower.blocks)
    if not -depth <= layer < depth:
        raise OptionError(
            f"{name}={layer}: the {tower.side} encoder has layers 0 to {depth - 1}, "
            f"or -{depth} to -1 from the end"
        )
    return layer % depth


def last_block_only(tower: Tower, options: Mapping[str, Any]) -> int:
    """Declare that a method needs only the last block."""
    del tower, options
    return 1


@dataclass(frozen=True)
class Method:
    """Name, function and claims of a method; tests check the claims.

    Attributes:
        relevance: ``(forward_pass, *, options...) -> Relevance``; its keyword-only parameters are
            the method's options, with their defaults and ``Literal`` types of allowed values.
        blocks_needed: function from encoder and options to the number of last blocks needed; 0 for
            black-box methods.
        all_targets_at_once: whether all targets are passed together, because each map depends on
            the others, or because one run of perturbed inputs serves them all.
        by_image: whether it uses its targets only through ``score`` and ``gradient``, so that each
            image of a batch can have its own targets.
        needs_empty_prompt: whether it needs the empty string's embedding, ``targets.empty``.
        slow: whether it runs much of an encoder dozens to thousands of times, so that comparisons
            skip it unless it is named.
        readout_weights: ``(forward_pass, options) -> [b, t]``, the weights that it uses in place of
            the model's attention, zero for tokens without weight; None if it has none.
        needs: optional package that it needs; also the name of whyclip's extra.
        text_specific: whether the map depends on the target.
        signed: whether relevance can be negative, with the default options.
        sums_to: the quantity that the relevances sum to, or an empty string.
        cost: number of forward passes of the encoder, for n targets.
        explains: ``"the model itself"``, or the difference from it.
        scope: source of the relevance: the model's score, its attention, dense features, or none (a
            random baseline). Tested for whyclip's own methods only; see :attr:`verified_scope`.
    """

    name: str
    title: str
    source: str
    relevance: Callable[..., Relevance]
    text_specific: bool
    signed: bool
    cost: str
    explains: str
    scope: Scope = "unverified"
    sums_to: str = ""
    sides: tuple[Side, ...] = SIDES
    blocks_needed: Callable[[Tower, Mapping[str, Any]], int] = last_block_only
    all_targets_at_once: bool = False
    by_image: bool = False
    needs_empty_prompt: bool = False
    slow: bool = False
    needs: str = ""
    readout_weights: Callable[[ForwardPass, Mapping[str, Any]], Tensor | None] | None = None

    @property
    def verified_scope(self) -> Scope:
        """The declared scope for whyclip's own methods; ``"unverified"`` for all others."""
        name = str(getattr(self.relevance, "__module__", ""))
        declared = getattr(sys.modules.get(name), "METHOD", ())
        methods = declared if isinstance(declared, tuple) else (declared,)
        return self.scope if name.startswith(OWN_METHODS) and self in methods else "unverified"

    @property
    def available(self) -> bool:
        """Whether the package that it needs is installed."""
        return not self.needs or find_spec(self.needs) is not None

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return (inspect.getdoc(self.relevance) or "").partition("\n")[0]

    @cached_property
    def options(self) -> Mapping[str, Any]:
        """Names and defaults of the method's options."""
        return options_of(self.relevance)

    @cached_property
    def hints(self) -> Mapping[str, Any]:
        """Annotations of the method's options, by name."""
        return hints_of(self.relevance)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Any, ...]]:
        """Allowed values of each option with a fixed list of values."""
        return {
            name: get_args(self.hints[name])
            for name in self.options
            if get_origin(self.hints.get(name)) is Literal
        }

    def changed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that differ from the defaults."""
        return {key: value for key, value in options.items() if value != self.options.get(key)}

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Check options and fill in the defaults.

        Raises:
            OptionError: an unknown name or value.
        """
        return validate(self.name, self.relevance, options)
