"""The command line: ``whyclip explain``, ``compare``, ``methods``, ``models``."""

from whyclip.cli.app import app, main

__all__ = ["app", "main"]
