"""Reference scores: what images and prompts score with many others."""

from whyclip.matching.build import reference
from whyclip.matching.store import Reference, load_reference

__all__ = ["Reference", "load_reference", "reference"]
