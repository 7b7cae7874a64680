"""Decompositions by name, and the spelling by which users choose them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from whyclip.errors import OptionError, UnsupportedModelError, quoted, unknown
from whyclip.forward.forward_pass import ForwardPass, depth
from whyclip.methods.decomposition import check_sum
from whyclip.models import Tower
from whyclip.options import parse, spelled
from whyclip.types import Side
from whyclip.vectors import coalitions, gradients, summands
from whyclip.vectors.vectors import Vectors


@dataclass(frozen=True)
class Provider:
    """A decomposition of an embedding into a sum over tokens.

    Attributes:
        name: name as users write it.
        title: name in results.
        vectors: ``(forward_pass, along, *, options...) -> Vectors`` of a forward pass of one
            input. With ``along`` ``[k, e]`` it returns the vectors' products with k directions.
        blocks_needed: function from encoder and options to the number of last blocks needed.
        exact: whether tokens and remainders sum to the embedding by construction; otherwise the
            difference is unattributed.
        sides: sides that it supports.
        black_box: whether it supports encoders without attention pooling.
    """

    name: str
    title: str
    vectors: Callable[..., Vectors]
    blocks_needed: Callable[[Tower, Mapping[str, Any]], int]
    exact: bool
    sides: tuple[Side, ...] = ("image", "text")
    black_box: bool = False


def _every(tower: Tower, options: Mapping[str, Any]) -> int:
    del options
    return len(tower.blocks)


def _direct(tower: Tower, options: Mapping[str, Any]) -> int:
    check_sum(tower)
    return _every(tower, options)


def _none(tower: Tower, options: Mapping[str, Any]) -> int:
    del tower, options
    return 0


def _from_first(tower: Tower, options: Mapping[str, Any]) -> int:
    """Texts need all blocks, because they start at token embeddings; images start at pixels."""
    return 0 if tower.side == "image" else max(1, _every(tower, options))


PROVIDERS = (
    Provider("readout", "readout paths", summands.readout, _every, exact=True),
    Provider("direct", "direct contributions", summands.direct, _direct, exact=True),
    Provider(
        "first_order",
        "first order",
        gradients.first_order,
        lambda tower, options: depth(tower, options.get("layers")),
        exact=False,
    ),
    Provider(
        "integrated_gradients",
        "integrated gradients",
        gradients.integrated,
        _from_first,
        exact=False,
    ),
    Provider(
        "leave_one_out",
        "leave one out",
        coalitions.leave_one_out,
        _none,
        exact=False,
        sides=("text",),
        black_box=True,
    ),
    Provider(
        "shapley",
        "Shapley values",
        coalitions.shapley,
        _none,
        exact=True,
        sides=("text",),
        black_box=True,
    ),
    Provider(
        "banzhaf",
        "Banzhaf values",
        coalitions.banzhaf,
        _none,
        exact=False,
        sides=("image",),
        black_box=True,
    ),
)
WORDS = {way.name: way for way in PROVIDERS if "text" in way.sides}
REGIONS = {way.name: way for way in PROVIDERS if "image" in way.sides}


@dataclass(frozen=True)
class Chosen:
    """A provider with its options.

    Attributes:
        provider: the decomposition.
        options: given options, by name.
    """

    provider: Provider
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spelling(self) -> str:
        """Name and options, as :func:`choose` parses them."""
        return spelled(self.provider.name, self.options)

    def blocks_needed(self, tower: Tower) -> int:
        """Return the number of last blocks of an encoder that are needed.

        Raises:
            UnsupportedModelError: it needs blocks, but the encoder exposes none.
            OptionError: the provider does not support this kind of encoder.
        """
        if tower.opaque and not self.provider.black_box:
            others = WORDS if tower.side == "text" else REGIONS
            able = next(name for name, way in others.items() if way.black_box)
            name = "words" if tower.side == "text" else "regions"
            raise UnsupportedModelError(
                f"{name}={self.provider.name!r} needs attention pooling, but the {tower.side} "
                f"encoder exposes none ({tower.opaque}); use {name}={able!r}, or whyclip.explain "
                "with occlusion, rise or leave_one_out"
            )
        return self.provider.blocks_needed(tower, self.options)

    def of(self, forward_pass: ForwardPass, along: Tensor | None = None) -> Vectors:
        """Decompose the embedding of a forward pass with one input; see :class:`Vectors`.

        If the provider is not exact, the difference is ``unattributed``.
        """
        vectors = self.provider.vectors(forward_pass, along, **self.options)
        if self.provider.exact:
            return vectors
        whole = vectors.embedding.to(vectors.tokens)
        whole = whole if along is None else along.to(whole) @ whole
        return replace(vectors, unattributed=whole - vectors.total)


def choose(option: str, given: str, side: Side) -> Chosen:
    """Parse a provider and its options as users write them, such as ``"shapley:seed=3"``.

    Args:
        option: name of the user's option, for errors.
        given: name and options.
        side: decomposed side, words (``"text"``) or regions (``"image"``).

    Raises:
        OptionError: an unknown name or option.

    Example:
        >>> choose("words", "shapley:seed=3", "text").options
        {'seed': 3}
    """
    known = WORDS if side == "text" else REGIONS
    if not isinstance(given, str):
        raise OptionError(f"{option}={quoted(given)}: give a name: {', '.join(known)}")
    name, *pairs = given.split(":")
    if name not in known:
        raise unknown(f"kind of {option}", name, known)
    provider = known[name]
    return Chosen(provider, parse(name, provider.vectors, pairs, flag=""))
