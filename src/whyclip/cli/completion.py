"""Names that the shell completes, read from ``lists.json`` so that torch is not imported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

from whyclip.cli import lists

Completer = Callable[[str], list[str]]


def methods(incomplete: str) -> list[str]:
    """Complete the last of several methods separated by commas."""
    return _last(incomplete, lists.built_in("methods"))


def methods_or_all(incomplete: str) -> list[str]:
    """Complete methods, or ``all``."""
    return _last(incomplete, [*lists.built_in("methods"), "all"])


def metrics(incomplete: str) -> list[str]:
    """Complete the last of several metrics separated by commas."""
    return _last(incomplete, lists.built_in("metrics"))


def sides(incomplete: str) -> list[str]:
    """Complete the last of several sides separated by commas."""
    return _last(incomplete, ("image", "text"))


def experiments(incomplete: str) -> list[str]:
    """Complete the name of an experiment."""
    return _starting(incomplete, lists.built_in("experiments"))


def datasets(incomplete: str) -> list[str]:
    """Complete the kind of a dataset, up to the colon."""
    return _starting(incomplete, (f"{name}:" for name in lists.built_in("datasets")))


def models(incomplete: str) -> list[str]:
    """Complete ``mini``, the libraries' prefixes, and OpenCLIP's architectures."""
    if incomplete.startswith("openclip:"):
        return _starting(incomplete, (f"openclip:{name}/" for name in _architectures()))
    return _starting(incomplete, ("mini", "openclip:", "hf:"))


def _architectures() -> list[str]:
    """Names of OpenCLIP's configuration files; importing it would import torch."""
    spec = find_spec("open_clip")
    if spec is None or spec.origin is None:
        return []
    return sorted(path.stem for path in Path(spec.origin).parent.glob("model_configs/*.json"))


def _last(incomplete: str, names: Iterable[str]) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    given = before.split(",")
    return [f"{before}{comma}{name}" for name in _starting(last, names) if name not in given]


def _starting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
