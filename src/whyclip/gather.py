"""Declarations gathered from the files of a folder: adding a file adds what it declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType
from typing import Any, TypeVar

from whyclip.errors import check_choice

T = TypeVar("T")


def gather(package: str, path: Iterable[str], *names: str) -> Mapping[str, Any]:
    """Collect what the modules of a package declare, by the ``name`` of each declaration.

    Args:
        package: the package's ``__name__``.
        path: its ``__path__``.
        *names: of the modules' attributes; each holds one declaration or a tuple of them.

    Returns:
        A read-only mapping, in the order of the modules' names.
    """
    found = {}
    for module in (import_module(f"{package}.{one.name}") for one in iter_modules(path)):
        for name in names:
            declared = getattr(module, name, ())
            for one in declared if isinstance(declared, tuple) else (declared,):
                found[one.name] = one
    return MappingProxyType(found)


def look_up(kind: str, name: str, known: Mapping[str, T]) -> T:
    """Return what is known by a name.

    Raises:
        OptionError: nothing is; the message names the nearest of its kind.
    """
    return known[check_choice(kind, name, known)]
