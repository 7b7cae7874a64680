"""Token ids for the model, and where each piece stands in the user's prompt.

The ids are always those that the library's own call gives; the pieces are read beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whyclip.errors import UnsupportedModelError, WhyclipWarning
from whyclip.inputs.words import (
    Span,
    WordSpan,
    spans_of_parts,
    word_pieces,
    words_of,
    words_under,
)


@dataclass(frozen=True)
class Tokens:
    """The prompts as the text encoder reads them.

    Attributes:
        ids: ``[p, t]`` int64, padded to the context length.
        positions: for each prompt the positions of its pieces between start and end token.
        spans: for each of these pieces its place in the prompt, None where it has none.
        words: for each prompt its words, as :func:`words_of` finds them.
        cut: for each prompt the words that did not fit into the context, wholly or in part.
    """

    ids: Tensor
    positions: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[Span | None, ...], ...]
    words: tuple[tuple[WordSpan, ...], ...]
    cut: tuple[tuple[str, ...], ...]

    @property
    def groups(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """For each prompt and each of its words the positions of the word's pieces."""
        return tuple(
            tuple(tuple(positions[i] for i in pieces) for pieces in word_pieces(words, spans))
            for words, spans, positions in zip(self.words, self.spans, self.positions, strict=True)
        )


@dataclass(frozen=True)
class _Pieces:
    """The pieces of one uncut prompt: places in ``text``, which is what the tokenizer read."""

    text: str
    parts: list[Span]


def tokenize(tokenizer: Any, texts: Sequence[str], context_length: int) -> Tokens:
    """Tokenize prompts with the user's own tokenizer.

    Args:
        tokenizer: OpenCLIP's ``SimpleTokenizer`` or ``HFTokenizer``, a tokenizer of
            transformers, or a processor that holds one.
        texts: prompts, none of them empty.
        context_length: number of positions t.

    Returns:
        Ids, and for each piece its position in them and its place in the prompt.

    Warns:
        WhyclipWarning: a prompt is longer than the context; names the words that were cut.

    Raises:
        UnsupportedModelError: another kind of tokenizer.
    """
    texts = list(texts)
    ids = _ids(tokenizer, texts, context_length)
    if _is_simple(tokenizer):
        positions = [_between(row, tokenizer.sot_token_id, tokenizer.eot_token_id) for row in ids]
        pieces = [_simple_pieces(tokenizer, text) for text in texts]
    elif _is_wrapped(tokenizer):
        inner = tokenizer.tokenizer
        cleaned = [tokenizer.clean_fn(text) for text in texts]
        positions = [_not_special(row, inner) for row in ids]
        pieces = [_hf_pieces(inner, text) for text in cleaned]
    else:
        inner = _inner(tokenizer)
        positions = [_not_special(row, inner) for row in ids]
        pieces = [_hf_pieces(inner, text) for text in texts]
    return _assemble(texts, ids.long(), positions, pieces, context_length)


def padding(tokenizer: Any, context_length: int) -> int:
    """The id that stands behind a text, by the tokenizer that :func:`tokenize` takes."""
    return int(_ids(tokenizer, [""], context_length)[0, -1])


def _ids(tokenizer: Any, texts: list[str], context_length: int) -> Tensor:
    """Call the library's own tokenizer, padding to the context."""
    if _is_simple(tokenizer) or _is_wrapped(tokenizer):
        found: Tensor = tokenizer(texts, context_length=context_length)
    elif hasattr(_inner(tokenizer), "convert_ids_to_tokens"):
        found = _inner(tokenizer)(
            texts,
            padding="max_length",
            truncation=True,
            max_length=context_length,
            return_tensors="pt",
        )["input_ids"]
    else:
        raise UnsupportedModelError(
            f"tokenizer of type {type(tokenizer).__name__} cannot be followed; give OpenCLIP's "
            "SimpleTokenizer or HFTokenizer, or a tokenizer of transformers"
        )
    return found


def _assemble(
    texts: list[str],
    ids: Tensor,
    positions: list[list[int]],
    pieces: list[_Pieces],
    context_length: int,
) -> Tokens:
    all_spans, all_words, all_cut = [], [], []
    for text, kept, piece in zip(texts, positions, pieces, strict=True):
        spans = spans_of_parts(text, piece.text, piece.parts)
        words = words_of(text)
        cut = words_under(words, spans[len(kept) :])
        if cut:
            warnings.warn(
                f"prompt {_short(text)!r} is longer than the model's {context_length} tokens; "
                f"not seen by the model: {' '.join(cut)!r}",
                WhyclipWarning,
                stacklevel=3,
            )
        padded = spans[: len(kept)] + [None] * (len(kept) - len(spans))
        all_spans.append(tuple(padded))
        all_words.append(words)
        all_cut.append(cut)
    places = tuple(map(tuple, positions))
    return Tokens(ids, places, tuple(all_spans), tuple(all_words), tuple(all_cut))


def _is_wrapped(tokenizer: Any) -> bool:
    """OpenCLIP's ``HFTokenizer`` around one of transformers."""
    return hasattr(tokenizer, "clean_fn") and hasattr(tokenizer, "tokenizer")


def _is_simple(tokenizer: Any) -> bool:
    """OpenCLIP's own; those of transformers 4 that are not fast have a byte decoder, too."""
    return hasattr(tokenizer, "byte_decoder") and hasattr(tokenizer, "sot_token_id")


def _inner(tokenizer: Any) -> Any:
    return getattr(tokenizer, "tokenizer", tokenizer)


def _between(row: Tensor, first: int, last: int) -> list[int]:
    """Positions after the start token and before the first end token."""
    ids = row.tolist()
    start = ids.index(first) + 1
    return list(range(start, ids.index(last, start)))


def _not_special(row: Tensor, inner: Any) -> list[int]:
    """Positions of what the user wrote: up to the first end token, no special tokens."""
    special = _special_ids(inner)
    ids = row.tolist()
    written = [i for i, token in enumerate(ids) if token not in special]
    stops = [i for i, token in enumerate(ids) if token == inner.eos_token_id and i > 0]
    return [i for i in written if not stops or i < stops[0]]


def _simple_pieces(tokenizer: Any, text: str) -> _Pieces:
    """Decode byte-level pieces together: one character's bytes may be several pieces."""
    raw = [
        bytes(tokenizer.byte_decoder[c] for c in tokenizer.decoder[i].removesuffix("</w>"))
        for i in tokenizer.encode(text)
        if i not in tokenizer.all_special_ids
    ]
    return _from_bytes(raw)


def _from_bytes(raw: Sequence[bytes]) -> _Pieces:
    whole = b"".join(raw)
    decoded = whole.decode("utf-8", errors="replace")
    place: list[int] = []
    for i, character in enumerate(decoded):
        place.extend([i] * len(character.encode("utf-8")))
    parts, at = [], 0
    for piece in raw:
        here = place[at : at + len(piece)]
        parts.append((here[0], here[-1] + 1) if here else (0, 0))
        at += len(piece)
    return _Pieces(decoded, parts)


def _hf_pieces(inner: Any, text: str) -> _Pieces:
    if getattr(inner, "is_fast", False):
        read = inner(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return _Pieces(text, [(int(a), int(b)) for a, b in read["offset_mapping"]])
    ids = inner(text, add_special_tokens=False, verbose=False)["input_ids"]
    if hasattr(inner, "byte_decoder"):
        tokens = inner.convert_ids_to_tokens(ids)
        return _from_bytes(
            [bytes(inner.byte_decoder[c] for c in token.removesuffix("</w>")) for token in tokens]
        )
    marks = ("\u2581", "\u0120", "##", "</w>")
    parts, whole = [], ""
    for token in inner.convert_ids_to_tokens(ids):
        for mark in marks:
            token = token.replace(mark, "")  # noqa: PLW2901 - peeled off one by one
        parts.append((len(whole), len(whole) + len(token)))
        whole += token
    return _Pieces(whole, parts)


def written(tokenizer: Any, ids: Tensor) -> Tensor:
    """Mark what the user wrote among token ids ``[p, t]``: no special tokens, no padding.

    Returns:
        ``[p, t]`` bool, on the device of the ids.
    """
    if _is_simple(tokenizer):
        end, special = tokenizer.eot_token_id, {tokenizer.sot_token_id}
    else:
        inner = _inner(tokenizer)
        end, special = inner.eos_token_id, _special_ids(inner)
    ends = ids == (-1 if end is None else end)
    ends[:, 0] = False
    among = torch.isin(ids, torch.tensor(sorted(special), device=ids.device))
    return (ends.cumsum(1) == 0) & ~among


def _special_ids(inner: Any) -> set[int]:
    special = set(inner.all_special_ids) - {inner.unk_token_id}
    return special | {i for i in (inner.eos_token_id, inner.pad_token_id) if i is not None}


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def content_mask(tokens: Tokens) -> Tensor:
    """Mark the positions of the user's own words: ``[p, t]`` bool."""
    mask = torch.zeros_like(tokens.ids, dtype=torch.bool)
    for row, positions in zip(mask, tokens.positions, strict=True):
        row[list(positions)] = True
    return mask
