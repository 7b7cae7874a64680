"""Check that the tokenizer distinguishes words and fits the model's token embeddings."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.inputs import tokenize

# Several scripts, because a tokenizer may support only one.
PROBES = ("dog", "cat", "tree", "two red cars", "狗", "猫", "树", "собака", "кошка", "कुत्ता")
TABLES = ("token_embedding", "word_embeddings")


def followed(tokenizer: Any, context: int) -> Any:
    """Wrap a plain function as a tokenizer; return other tokenizers unchanged."""
    inner = getattr(tokenizer, "tokenizer", tokenizer)
    known = hasattr(tokenizer, "sot_token_id") or hasattr(inner, "convert_ids_to_tokens")
    if known or not callable(tokenizer):
        return tokenizer
    from whyclip.models.followed_tokenizer import FollowedTokenizer

    return FollowedTokenizer(tokenizer, context)


def check_tokenizer(module: nn.Module, tokenizer: Any, context: int, name: str) -> None:
    """Check that a tokenizer distinguishes words.

    Raises:
        UnsupportedModelError: fewer than two of several words get distinct ids, or an id is outside
            the model's token embeddings.
    """
    tokens = tokenize(tokenizer, PROBES, context)
    unknown = getattr(getattr(tokenizer, "tokenizer", tokenizer), "unk_token_id", None)
    read: set[tuple[int, ...]] = set()
    for row, positions in zip(tokens.ids.tolist(), tokens.positions, strict=True):
        ids = tuple(row[position] for position in positions)
        if any(id_ != unknown for id_ in ids):
            read.add(ids)
    if len(read) < 2:
        raise UnsupportedModelError(
            f"{name}: its tokenizer gives {PROBES[0]!r}, {PROBES[1]!r} and {PROBES[2]!r} the same "
            "ids, as without its files; give the tokenizer that belongs to the model"
        )
    _check_table(module, tokens.ids, name)


def _check_table(module: nn.Module, ids: Tensor, name: str) -> None:
    """Compare ids with the number of token embeddings."""
    largest = int(ids.max())
    for path, part in module.named_modules():
        if isinstance(part, nn.Embedding) and path.endswith(TABLES):
            if largest >= part.num_embeddings:
                raise UnsupportedModelError(
                    f"{name}: its tokenizer gives the id {largest}, but there are only "
                    f"{part.num_embeddings} token embeddings; give the model's own tokenizer"
                )
            return


def same_rows(embeddings: Tensor) -> bool:
    """Whether all embeddings ``[b, e]`` are equal up to rounding."""
    spread = (embeddings - embeddings[:1]).abs().max()
    return bool(spread <= 1e-6 * embeddings.abs().max())
