"""Scores by layer and head, and descriptions of heads by texts."""

from whyclip.attention_heads.result import Head, Heads
from whyclip.attention_heads.run import heads
from whyclip.attention_heads.textspan import HeadTexts, describe_heads

__all__ = ["Head", "HeadTexts", "Heads", "describe_heads", "heads"]
