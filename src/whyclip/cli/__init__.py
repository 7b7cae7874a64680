"""The command line: one file for each command, and :data:`app`."""

from whyclip.cli.app import app, main

__all__ = ["app", "main"]
