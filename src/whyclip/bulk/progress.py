"""Counts of a bulk run: images, rate, time left."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Progress:
    """Counts of this process in a running or finished run.

    Attributes:
        images: number of images explained in this run, including images with an error.
        errors: number of these images with an error.
        rows: number of rows written in this run.
        skipped: number of images whose part already existed.
        total: number of images of this process; None if the length of the source is unknown.
        started: start of the run, by `time.perf_counter`.
    """

    images: int = 0
    errors: int = 0
    rows: int = 0
    skipped: int = 0
    total: int | None = None
    started: float = field(default_factory=perf_counter)

    @property
    def rate(self) -> float:
        """Images per second."""
        return self.images / max(perf_counter() - self.started, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Estimated time left in seconds; None if unknown."""
        if self.total is None or not self.images:
            return None
        return max(0, self.total - self.skipped - self.images) / self.rate

    def __str__(self) -> str:
        done = self.images + self.skipped
        of = f" of {self.total:,}" if self.total is not None else ""
        left = "" if self.seconds_left is None else f", {_duration(self.seconds_left)} left"
        return f"{done:,}{of} images, {self.rate:.1f} per second{left}, {self.errors:,} errors"


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
