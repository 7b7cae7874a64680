"""Explain any number of images, write Parquet files, and report on the results."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whyclip.bulk.result import BulkResult, read_bulk
    from whyclip.bulk.run import explain_bulk

__all__ = ["BulkResult", "explain_bulk", "read_bulk"]

_HOMES = {
    "BulkResult": "whyclip.bulk.result",
    "explain_bulk": "whyclip.bulk.run",
    "read_bulk": "whyclip.bulk.result",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module 'whyclip.bulk' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)
