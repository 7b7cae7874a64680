"""What a method is: a function on a forward pass, and a declaration of what it claims."""

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
    """What a method found.

    Attributes:
        values: ``[b, n, t]`` signed, unnormalised relevance of every token of the tower.
        embedding: ``[b, e]`` where the computation ended that was explained; it decides the
            score the certificate compares with the model's own.
        changes: in what that computation differs from the model's; empty if in nothing.
        diagnostics: figures ``[b, n]`` by name that say how exact the method was here, such as the
            gap to the completeness it promises; they go into the certificate.
    """

    values: Tensor
    embedding: Tensor
    changes: tuple[str, ...] = ()
    diagnostics: Mapping[str, Tensor] = field(default_factory=dict)


def input_only(tower: Tower, options: Mapping[str, Any]) -> int:
    """Say that a method reads no block: it changes the input and watches the score."""
    del tower, options
    return 0


def every_block(tower: Tower, options: Mapping[str, Any]) -> int:
    """Say that a method reads all blocks from its option ``start_layer`` on, or from the first."""
    return len(tower.blocks) - first_layer(tower, options.get("start_layer", 0))


def first_layer(tower: Tower, start_layer: int) -> int:
    """Resolve a layer counted from the start, or from the end if negative.

    Raises:
        OptionError: the tower does not have it.
    """
    depth = len(tower.blocks)
    if not -depth <= start_layer < depth:
        raise OptionError(
            f"start_layer={start_layer}: the {tower.side} tower has layers 0 to {depth - 1}, "
            f"or -{depth} to -1 from the end"
        )
    return start_layer % depth


def last_block_only(tower: Tower, options: Mapping[str, Any]) -> int:
    """Say that a method reads the last block alone."""
    del tower, options
    return 1


@dataclass(frozen=True)
class Method:
    """A method's name, function and claims; the claims are tested, not only printed.

    Attributes:
        relevance: ``(forward_pass, *, options...) -> Relevance``; its keyword-only parameters are
            the method's options, their defaults and ``Literal`` types what is allowed.
        blocks_needed: how many last blocks it reads, from the tower and the options; 0 for methods
            that only change the input and watch the score.
        all_targets_at_once: whether targets are to be seen together, because each map depends on
            the others, or because one run of changed inputs serves them all.
        by_image: whether it reads its targets through ``score`` and ``gradient`` alone, so that
            every image of a batch can have targets of its own.
        needs_empty_prompt: whether it needs the empty string's embedding, ``targets.empty``.
        slow: whether it runs much of a tower dozens to thousands of times, so that a comparison
            leaves it out unless asked for it.
        readout_weights: ``(forward_pass, options) -> [b, t]``, the weights by which it reads the
            tokens in place of the model's attention, zero where it puts none; None where it has
            none of its own.
        needs: a package it needs beyond whyclip's own; also the name of whyclip's extra.
        text_specific: whether the map depends on the target at all.
        signed: whether negative relevance can come out, by the default options.
        sums_to: what the relevances sum to, or an empty string.
        cost: for n targets, in forward passes of the tower.
        explains: ``"the model itself"``, or what it changes, or what it does not read.
        scope: what the relevance is derived from: the model's score, its attention, dense
            features, or nothing (a random baseline). Only whyclip's own methods are tested for
            it; see :attr:`verified_scope`.
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
        """The declared scope of whyclip's own methods; ``"unverified"`` for anybody else's."""
        name = str(getattr(self.relevance, "__module__", ""))
        declared = getattr(sys.modules.get(name), "METHOD", ())
        own = declared if isinstance(declared, tuple) else (declared,)
        return self.scope if name.startswith(OWN_METHODS) and self in own else "unverified"

    @property
    def available(self) -> bool:
        """Whether what it needs is installed."""
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
        """The annotations of the method's options, by name."""
        return hints_of(self.relevance)

    @cached_property
    def choices(self) -> Mapping[str, tuple[Any, ...]]:
        """The values allowed for each option that has a closed list of them."""
        return {
            name: get_args(self.hints[name])
            for name in self.options
            if get_origin(self.hints.get(name)) is Literal
        }

    def changed(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Of complete options those that are not the defaults."""
        return {key: value for key, value in options.items() if value != self.options.get(key)}

    def complete(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Check options and fill in the defaults.

        Raises:
            OptionError: a name or value that the method does not know.
        """
        return validate(self.name, self.relevance, options)
