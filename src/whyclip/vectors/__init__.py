"""Decompositions of an embedding into one vector per token, for words and for regions."""

from whyclip.vectors.provider import REGIONS, WORDS, Chosen, Provider, choose
from whyclip.vectors.vectors import Vectors

__all__ = ["REGIONS", "WORDS", "Chosen", "Provider", "Vectors", "choose"]
