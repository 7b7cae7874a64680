"""Counts of the examples that a run skipped, by reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from whyclip.finetuning.captions import Skipped


@dataclass(frozen=True)
class Fault:
    """Examples that were skipped for one reason.

    Attributes:
        reason: one of a few kinds.
        number: of distinct examples.
        first: one of them, with its fault.
    """

    reason: str
    number: int
    first: str


@dataclass
class Seen:
    """Faults and marked images that one process found in the data.

    Attributes:
        faults: reason for each skipped example, by id.
        first: for each reason, an example and its fault, from this call only.
        marked: number of images with at least one marked patch, counted again in each epoch.
    """

    faults: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    marked: int = 0

    def note(self, examples: Iterable[Skipped]) -> None:
        """Record skipped examples."""
        for example in examples:
            self.faults[example.id] = example.reason
            detail = f"{example.id:.80}: {example.detail:.200}".rstrip(": ")
            self.first.setdefault(example.reason, detail)


def joined(all_processes: Iterable[Seen]) -> tuple[Fault, ...]:
    """Count the faults of all processes, the most frequent first."""
    faults: dict[str, str] = {}
    first: dict[str, str] = {}
    for seen in all_processes:
        faults |= seen.faults
        first = {**seen.first, **first}
    counts = Counter(faults.values()).most_common()
    return tuple(Fault(why, n, first.get(why) or _any(faults, why)) for why, n in counts)


def _any(faults: Mapping[str, str], reason: str) -> str:
    return next(id for id, why in faults.items() if why == reason)
