"""Word–region relevance: contributions of word–patch pairs that sum to the score."""

from whyclip.interactions.result import Interaction, Pair, WordSum
from whyclip.interactions.run import interaction

__all__ = ["Interaction", "Pair", "WordSum", "interaction"]
