"""What every report says of the run behind it."""

from __future__ import annotations

import platform
from datetime import datetime, timezone

from whyclip._version import __version__


def run_facts(
    *, model: str, dataset: str, samples: int, seed: int, seconds: float, **more: str
) -> dict[str, str]:
    """Collect what one must know to run it again: model, data, seed, versions, date, time.

    Args:
        model: its name, as ``whyclip.load`` takes it.
        dataset: as ``open_dataset`` takes it.
        samples: how many were looked at.
        seed: of the draws.
        seconds: that the run took.
        **more: other facts, by their titles.
    """
    return {
        "model": model,
        "dataset": dataset,
        "samples": str(samples),
        "seed": str(seed),
        **more,
        "versions": versions(),
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "took": duration(seconds),
    }


def versions() -> str:
    """Name the software that a run depends on most, with its versions."""
    import torch

    return f"whyclip {__version__}, torch {torch.__version__}, Python {platform.python_version()}"


def duration(seconds: float) -> str:
    """Write a time for people.

    Example:
        >>> duration(4.26), duration(75.0), duration(3700.0)
        ('4.3 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
