"""Every method, gathered from the files of this folder.

A module here that has a ``METHOD`` is a method; nothing else needs to be told of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

from whyclip.errors import unknown
from whyclip.methods.method import Method, Relevance

__all__ = ["METHODS", "Method", "Relevance", "get_method"]


def _gather() -> Mapping[str, Method]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    methods = [module.METHOD for module in modules if hasattr(module, "METHOD")]
    return MappingProxyType({method.name: method for method in methods})


METHODS: Mapping[str, Method] = _gather()


def get_method(name: str) -> Method:
    """Look a method up by its name.

    Raises:
        OptionError: no such method; the message names the nearest.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]
