"""Edited prompts: change of the score if words are left out, swapped or exchanged."""

from whyclip.editing.result import Edit, Edits
from whyclip.editing.score import edits

__all__ = ["Edit", "Edits", "edits"]
