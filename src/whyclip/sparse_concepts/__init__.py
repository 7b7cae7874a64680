"""Sparse concepts: decomposition of an embedding into a short list of words (SpLiCE)."""

from whyclip.sparse_concepts.decompose import concepts
from whyclip.sparse_concepts.result import Concept, Concepts

__all__ = ["Concept", "Concepts", "concepts"]
