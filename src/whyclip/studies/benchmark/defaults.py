"""Default methods from a benchmark, by the rule of ``criteria``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from whyclip.errors import OptionError
from whyclip.selection import DEFAULTS
from whyclip.stats.hierarchical import over_models
from whyclip.stats.intervals import Interval
from whyclip.types import Side
from whyclip.variant import Variant

if TYPE_CHECKING:
    from whyclip.studies.benchmark.result import Benchmark


@dataclass(frozen=True)
class Choice:
    """Result of the rule for one side.

    Attributes:
        side: the side.
        best: the method with the best mean rank among the candidates for the default.
        rank: its mean rank among all methods.
        today: the current default.
        ahead: current default's mean rank minus the best one's, with its interval over models.
    """

    side: Side
    best: str
    rank: float
    today: str
    ahead: Interval

    @property
    def default(self) -> str:
        """The default by the rule: the best method, or the current one if they do not differ."""
        return self.best if self.ahead.low > 0 else self.today

    def to_json(self) -> dict[str, Any]:
        """Describe the choice in plain JSON types."""
        numbers = (self.ahead.mean, self.ahead.low, self.ahead.high)
        return {
            "best": self.best, "rank": round(self.rank, 4), "today": self.today,
            "ahead": [round(n, 4) if np.isfinite(n) else None for n in numbers],
            "default": self.default,
        }  # fmt: skip


def may_be_default(label: str) -> bool:
    """Whether a method is fast and explains the model's score with its default options."""
    try:
        variant = Variant.of(label)
    except OptionError:
        return False
    method = variant.method
    return method.verified_scope == "score" and not method.slow and variant.label == method.name


def choose_default(result: Benchmark, side: Side) -> Choice:
    """Apply the rule to one side of a benchmark.

    Raises:
        OptionError: no method can be the default, or the current default was not measured.
    """
    today = DEFAULTS[side][0]
    ranks = result.ranks(side)
    allowed = [(name, rank) for name, rank in result.order(side) if may_be_default(name)]
    if not allowed or today not in ranks:
        raise OptionError(f"a default for {side}s needs a benchmark with {today!r} in it")
    best, rank = allowed[0]
    ahead = over_models((ranks[today] - ranks[best]).mean(1))
    return Choice(side, best, rank, today, ahead)
