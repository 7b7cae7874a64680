"""A cache with a limit on its bytes; the least recently used values are dropped first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Shelf(Generic[T]):
    """A dictionary with a limit on its bytes.

    The newest value is kept even if it is larger than the budget, so that it can be used once.

    Args:
        budget: maximum total bytes of all values.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.weight = 0
        self._values: OrderedDict[Hashable, tuple[T, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        """Return a value and mark it as used, or return None."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: T, weight: int) -> T:
        """Store a value of ``weight`` bytes, drop values that no longer fit, and return it."""
        with self._lock:
            if key in self._values:
                self.weight -= self._values.pop(key)[1]
            self._values[key] = (value, weight)
            self.weight += weight
            while self.weight > self.budget and len(self._values) > 1:
                _, (_, dropped) = self._values.popitem(last=False)
                self.weight -= dropped
        return value

    def __len__(self) -> int:
        return len(self._values)
