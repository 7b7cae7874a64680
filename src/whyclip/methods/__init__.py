"""Every method.

A module here that has a ``METHOD`` is a method; nothing else needs to be told of it.
"""

from __future__ import annotations

from whyclip.methods.method import Method, Relevance
from whyclip.registry import Registry, look_up

__all__ = ["METHODS", "Method", "Relevance", "get_method"]


METHODS = Registry("method", __name__, Method, "METHOD", group="whyclip.methods")


def get_method(name: str) -> Method:
    """Look a method up by its name.

    Raises:
        OptionError: no such method; the message names the nearest.
    """
    return look_up("method", name, METHODS)
