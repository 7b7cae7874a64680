"""The cases: what is planted, and what is compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from whyclip import Explanation
from whyclip.certificate import Certificate

Kind = Literal["lie", "never", "honest"]


@dataclass(frozen=True)
class Claim:
    """An explanation, and what the library's own pipeline gives at the same moment.

    Attributes:
        explained: what whyclip says.
        library: the library's own score of each prompt; None if its pipeline raises.
        before: the same before the lie was planted; given where the lie changes the score.
    """

    explained: Explanation
    library: tuple[float, ...] | None
    before: tuple[float, ...] | None = None

    @property
    def certificate(self) -> Certificate:
        return self.explained.certificate

    @property
    def gap(self) -> float:
        """Largest difference between the library's score and any score that was explained."""
        if self.library is None:
            return float("inf")
        claimed = [*self.certificate.scores.values(), self.certificate.score_model]
        claimed.append(tuple(self.explained.scores.tolist()))
        assert all(len(scores) == len(self.library) for scores in claimed)
        return max(
            abs(ours - theirs)
            for scores in claimed
            for ours, theirs in zip(scores, self.library, strict=True)
        )

    @property
    def bites(self) -> bool:
        """Whether the planted change moves the library's score beyond rounding."""
        if self.before is None or self.library is None:
            return True
        moved = [abs(a - b) for a, b in zip(self.library, self.before, strict=True)]
        return max(moved) > self.certificate.tolerance


Tell = Callable[[Path], Claim | Iterable[Claim]]


@dataclass(frozen=True)
class Case:
    """One case: ``tell`` plants it in a fresh model or file and returns what is claimed."""

    kind: Kind
    name: str
    tell: Tell

    def claims(self, folder: Path) -> list[Claim]:
        claims = self.tell(folder)
        return [claims] if isinstance(claims, Claim) else list(claims)


CASES: dict[str, Case] = {}


def case(kind: Kind, name: str) -> Callable[[Any], Any]:
    """Register a function as a case."""

    def register(tell: Any) -> Any:
        assert name not in CASES, name
        CASES[name] = Case(kind, name, tell)
        return tell

    return register


def lie(name: str) -> Callable[[Any], Any]:
    """A planted lie: an error, no green mark, or the score that the library gives."""
    return case("lie", name)


def never(name: str) -> Callable[[Any], Any]:
    """What is never green, whatever the scores are: other scopes and modifications."""
    return case("never", name)


def honest(name: str) -> Callable[[Any], Any]:
    """A control: it must be green, with the library's score."""
    return case("honest", name)
