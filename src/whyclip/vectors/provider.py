"""What gives each token its vector, by name; and the spelling by which users choose it."""

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
    """One way to write an embedding as a sum over tokens.

    Attributes:
        name: as users write it.
        title: as results show it.
        vectors: ``(forward_pass, along, *, options...) -> Vectors`` of a forward pass of one
            input. With ``along`` ``[k, e]`` the vectors come as their products with k directions.
        blocks_needed: how many last blocks it reads, from the encoder and the options.
        exact: whether tokens and remainders are the embedding by construction; otherwise what is
            missing counts as unattributed.
        sides: what it can split up.
        black_box: whether it works where no attention reads the tokens.
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
    """Texts begin where their tokens are vectors, at the first block; images at their pixels."""
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
        provider: the way.
        options: those that were given, by name.
    """

    provider: Provider
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spelling(self) -> str:
        """Name and options, as :func:`choose` reads them."""
        return spelled(self.provider.name, self.options)

    def blocks_needed(self, tower: Tower) -> int:
        """How many last blocks of an encoder are read.

        Raises:
            UnsupportedModelError: some, of an encoder that shows none.
            OptionError: the encoder is of a kind that the provider does not split up.
        """
        if tower.opaque and not self.provider.black_box:
            others = WORDS if tower.side == "text" else REGIONS
            able = next(name for name, way in others.items() if way.black_box)
            name = "words" if tower.side == "text" else "regions"
            raise UnsupportedModelError(
                f"{name}={self.provider.name!r} reads attention, and the {tower.side} encoder "
                f"shows none ({tower.opaque}); use {name}={able!r}, or whyclip.explain with "
                "occlusion, rise or leave_one_out"
            )
        return self.provider.blocks_needed(tower, self.options)

    def of(self, forward_pass: ForwardPass, along: Tensor | None = None) -> Vectors:
        """Split up the embedding of a forward pass's only input; see :class:`Vectors`.

        Where the provider is not exact, what it leaves over is ``unattributed``.
        """
        vectors = self.provider.vectors(forward_pass, along, **self.options)
        if self.provider.exact:
            return vectors
        whole = vectors.embedding.to(vectors.tokens)
        whole = whole if along is None else along.to(whole) @ whole
        return replace(vectors, unattributed=whole - vectors.total)


def choose(option: str, given: str, side: Side) -> Chosen:
    """Read a provider and its options as users spell them, such as ``"shapley:seed=3"``.

    Args:
        option: name of the option that was given, for errors.
        given: name and options.
        side: what is split up, words (``"text"``) or regions (``"image"``).

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
