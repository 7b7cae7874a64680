"""The command line: ``whyclip explain``, ``compare``, ``methods``, ``models``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["app", "main"]

if TYPE_CHECKING:
    from whyclip.cli.app import app, main
else:
    # Loaded when first used, so that the entry point can import ``whyclip.cli.process`` first.
    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module 'whyclip.cli' has no attribute {name!r}")
        from whyclip.cli import app as module

        value = getattr(module, name)
        globals()[name] = value
        return value
