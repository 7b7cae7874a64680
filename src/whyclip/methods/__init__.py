"""All methods.

Modules of this package with a ``METHOD`` attribute are found automatically.
"""

from __future__ import annotations

from whyclip.methods.method import Method, Relevance
from whyclip.registry import Registry, look_up

__all__ = ["METHODS", "Method", "Relevance", "get_method"]


METHODS = Registry("method", __name__, Method, "METHOD", group="whyclip.methods")


def get_method(name: str) -> Method:
    """Return a method by name.

    Raises:
        OptionError: no such method; the message names the nearest.
    """
    return look_up("method", name, METHODS)
