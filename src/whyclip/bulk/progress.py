"""Counts of a bulk run: images, rate, time left."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter


@dataclass
class Progress:
    """Counts of a running or finished run, of this process.

    Attributes:
        images: explained in this run, those with errors included.
        errors: images with an error among them.
        rows: written in this run.
        skipped: images whose part was there already.
        total: images of this process, where the length of the source is known.
        started: time of `time.perf_counter`.
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
        """Estimated time left; None where it is not known."""
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
