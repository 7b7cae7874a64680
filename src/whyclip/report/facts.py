"""Facts about a run, for reports."""

from __future__ import annotations

import platform
from datetime import datetime, timezone

from whyclip._version import __version__


def run_facts(
    *, model: str, dataset: str, samples: int, seed: int, seconds: float, **more: str
) -> dict[str, str]:
    """Collect the facts needed to repeat a run: model, data, seed, versions, date, time.

    Args:
        model: specification for ``whyclip.load``.
        dataset: specification for ``open_dataset``.
        samples: number of samples.
        seed: random seed.
        seconds: run time.
        **more: other facts by title.
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
    """List the main packages with their versions."""
    import torch

    return f"whyclip {__version__}, torch {torch.__version__}, Python {platform.python_version()}"


def duration(seconds: float) -> str:
    """Format a duration.

    Example:
        >>> duration(4.26), duration(75.0), duration(3700.0)
        ('4.3 s', '1 min 15 s', '1 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
