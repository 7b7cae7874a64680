"""Reference scores: scores of images and prompts with many other prompts and images."""

from whyclip.matching.build import reference
from whyclip.matching.store import Reference, load_reference

__all__ = ["Reference", "load_reference", "reference"]
