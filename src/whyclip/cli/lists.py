"""Descriptions of everything that commands list, without importing torch.

``lists.json`` holds the declarations of methods, metrics, datasets, experiments and model
families as plain data. It is used if its sources are unchanged and not yet imported; otherwise
the declarations themselves are described.
``python -m whyclip.cli.write_lists`` regenerates the file.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, Literal

from whyclip.registry import Registry, look_up, third_party

Kind = Literal["methods", "metrics", "datasets", "experiments", "families"]

# By kind: the folder of the declaring files, and the variable that they assign.
_SOURCES: Mapping[Kind, tuple[str, str]] = {
    "methods": ("methods", "METHOD"),
    "metrics": ("metrics", "METRICS"),
    "datasets": ("datasets", "KINDS"),
    "experiments": ("studies.experiments", "EXPERIMENT"),
    "families": ("models.transformers", "FAMILIES"),
}
# Entry points through which other packages declare more.
_GROUPS = {kind: f"whyclip.{kind}" for kind in ("methods", "metrics", "datasets")}
FILE = "lists.json"


def declared(kind: Kind) -> Mapping[str, Any]:
    """Describe everything of one kind by name, in the order of the registry.

    The values have the attributes of the declarations that are plain data (names, claims,
    options, choices); a metric also has ``doc``, the docstring of its function.
    """
    entries = described(kind) if third_party(_GROUPS.get(kind, "")) else built_in(kind)
    return {name: SimpleNamespace(**entry) for name, entry in entries.items()}


def built_in(kind: Kind) -> Mapping[str, Any]:
    """Describe whyclip's declarations, and registered ones if the declarations are imported."""
    kept = _kept().get(kind, {})
    imported = f"whyclip.{_SOURCES[kind][0]}" in sys.modules
    fresh = not imported and kept.get("digest") == digest(kind)
    return kept["entries"] if fresh else described(kind)


def find(kind: Kind, noun: str, name: str) -> Any:
    """Describe one of a kind.

    Raises:
        OptionError: unknown name; the message suggests similar names.
    """
    known = built_in(kind)
    if isinstance(name, str) and name in known:
        return SimpleNamespace(**known[name])
    return look_up(noun, name, declared(kind))


def records(kind: Kind, name: str | None = None) -> dict[str, Any]:
    """Describe one declaration, or all of a kind, in plain JSON types by name."""
    return {key: vars(one) for key, one in declared(kind).items() if name in (None, key)}


@lru_cache(maxsize=1)
def _kept() -> Mapping[str, Any]:
    try:
        kept = json.loads((files("whyclip.cli") / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def digest(kind: Kind) -> str:
    """Hash the files that declare a kind, independent of line endings."""
    content = hashlib.sha256()
    room, assigned = _SOURCES[kind]
    folder = files("whyclip").joinpath(*room.split("."))
    for name in sorted(file.name for file in folder.iterdir() if file.name.endswith(".py")):
        source = (folder / name).read_text(encoding="utf-8")
        if re.search(rf"^{assigned}\b.*=", source, re.MULTILINE):
            content.update("\0".join((name, *source.splitlines(), "")).encode())
    return content.hexdigest()[:16]


def described(kind: Kind) -> dict[str, Any]:
    """Describe everything of one kind from the declarations themselves."""
    return {name: _plain(one) for name, one in _registry(kind).items()}


def _built_in(kind: Kind) -> dict[str, Any]:
    """Describe what this package declares, without registered and third-party declarations."""
    registry = _registry(kind)
    known = registry.built_in() if isinstance(registry, Registry) else registry
    return {name: _plain(declaration) for name, declaration in known.items()}


def _registry(kind: Kind) -> Mapping[str, Any]:
    if kind == "methods":
        from whyclip.methods import METHODS

        return METHODS
    if kind == "metrics":
        from whyclip.metrics import METRICS

        return METRICS
    if kind == "datasets":
        from whyclip.datasets import dataset_kinds

        return dataset_kinds()
    if kind == "experiments":
        from whyclip.studies.experiments import EXPERIMENTS

        return EXPERIMENTS
    from whyclip.models.transformers.families import FAMILIES

    return FAMILIES


def _plain(one: Any) -> dict[str, Any]:
    """Convert the public attributes of a declaration to JSON types, where possible."""
    entry: dict[str, Any] = {}
    for name in sorted(set(dir(one)) | set(vars(one))):
        if name.startswith("_") or name == "available":
            continue
        value = _as_json(getattr(one, name))
        if value is not NotImplemented:
            entry[name] = value
    if hasattr(one, "value"):
        entry["doc"] = inspect.getdoc(one.value) or ""
    return entry


def _as_json(value: Any) -> Any:
    """Convert a value to JSON types; ``NotImplemented`` for functions."""
    if hasattr(value, "__dataclass_fields__"):
        value = vars(value)
    try:
        return json.loads(json.dumps(dict(value) if isinstance(value, Mapping) else value))
    except TypeError:
        return NotImplemented


def text() -> str:
    """Return the content of ``lists.json`` for the current sources, without other packages."""
    kinds = {kind: {"digest": digest(kind), "entries": _built_in(kind)} for kind in _SOURCES}
    return json.dumps(kinds, indent=1, ensure_ascii=False) + "\n"
