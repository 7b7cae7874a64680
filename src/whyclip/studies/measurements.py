"""Measured values by name, each with its image, so that intervals resample whole images."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from whyclip.stats.contrasts import contrast
from whyclip.stats.intervals import Interval, interval, share_interval


@dataclass(frozen=True)
class Values:
    """One value per sample, or per prompt of a sample.

    Attributes:
        values: the values; NaN if a sample has none.
        groups: the image of each value; values of one image are not independent.
        condition: if given, the quantity is the mean where this is True minus the mean where it is
            False.
    """

    values: Sequence[float]
    groups: Sequence[str]
    condition: Sequence[bool] | None = None

    def interval(
        self,
        *,
        share: bool = False,
        limits: tuple[float, float] | None = None,
        exact: bool = False,
        seed: int = 0,
    ) -> Interval:
        """Mean, or difference of the two means, with its 95 % interval.

        Args:
            share: whether values are 1 or 0; the interval is then exact (Clopper & Pearson 1934).
            limits: smallest and largest possible value, if known.
            exact: whether values are errors of a computation.
            seed: random seed of the bootstrap.
        """
        groups = list(self.groups)
        if self.condition is not None:
            return contrast(self.values, self.condition, groups=groups, seed=seed)
        if share:
            return share_interval(self.values, groups=groups)
        return interval(self.values, groups=groups, limits=limits, exact=exact, seed=seed)

    def where(self, wanted: bool) -> Values:
        """The values whose condition equals ``wanted``, without the condition."""
        kept = [i for i, is_so in enumerate(self.condition or ()) if is_so == wanted]
        return Values([self.values[i] for i in kept], [self.groups[i] for i in kept])

    def minus(self, other: Values) -> Values:
        """Differences of two quantities of the same samples, in the same order."""
        pairs = zip(self.values, other.values, strict=True)
        return Values([a - b for a, b in pairs], self.groups)

    def __len__(self) -> int:
        """Return the number of values."""
        return len(self.values)

    def __add__(self, other: Values) -> Values:
        """Concatenate the values of two quantities."""
        return Values([*self.values, *other.values], [*self.groups, *other.groups])


@dataclass(frozen=True)
class Measurements(Mapping[Hashable, Values]):
    """Values with a key for the measured quantity, and an image.

    Values are added in the order of the samples, so that two keys that are measured on every sample
    are paired.
    """

    _rows: dict[Hashable, Values] = field(default_factory=dict)

    def add(self, key: Hashable, image: str, values: Iterable[float]) -> None:
        """Add measured values of one image."""
        known = self._rows.setdefault(key, Values([], []))
        new = [float(value) for value in values]
        assert isinstance(known.values, list)
        assert isinstance(known.groups, list)
        known.values.extend(new)
        known.groups.extend([image] * len(new))

    def __getitem__(self, key: Hashable) -> Values:
        """The values of a key.

        Raises:
            KeyError: there are no values for the key.
        """
        return self._rows[key]

    def __iter__(self) -> Iterator[Hashable]:
        """The keys, in the order in which they were first added."""
        return iter(self._rows)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._rows)

    def interval(self, key: Hashable, *, share: bool = False, seed: int = 0) -> Interval:
        """Mean of a key's values with its 95 % interval over images."""
        return self[key].interval(share=share, seed=seed)

    def difference(self, key: Hashable, other: Hashable, *, seed: int = 0) -> Interval:
        """Mean of the paired differences of two keys, with its 95 % interval over images."""
        return self[key].minus(self[other]).interval(seed=seed)
