"""Every method, gathered from the files of this folder.

A module here that has a ``METHOD`` is a method; nothing else needs to be told of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from whyclip.gather import gather, look_up
from whyclip.methods.method import Method, Relevance

__all__ = ["METHODS", "Method", "Relevance", "get_method"]


METHODS: Mapping[str, Method] = gather(__name__, __path__, "METHOD")


def get_method(name: str) -> Method:
    """Look a method up by its name.

    Raises:
        OptionError: no such method; the message names the nearest.
    """
    return look_up("method", name, METHODS)
