"""Which word matches which region, in amounts that add up to the score."""

from whyclip.interactions.result import Interaction, Pair, WordSum
from whyclip.interactions.run import interaction

__all__ = ["Interaction", "Pair", "WordSum", "interaction"]
