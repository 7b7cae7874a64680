"""An embedding as a sum of vectors, one for each token: any way for words, any way for regions."""

from whyclip.vectors.provider import REGIONS, WORDS, Chosen, Provider, choose
from whyclip.vectors.vectors import Vectors

__all__ = ["REGIONS", "WORDS", "Chosen", "Provider", "Vectors", "choose"]
