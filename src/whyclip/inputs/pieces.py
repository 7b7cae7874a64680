"""Calls of the libraries' tokenizers, and spans of the pieces of a prompt.

Supported are OpenCLIP's ``SimpleTokenizer`` and ``HFTokenizer``, and tokenizers of transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

from torch import Tensor

from whyclip.errors import PromptError, UnsupportedModelError, WhyclipError, quoted, reason
from whyclip.inputs.words import Span

# A tokenizer of transformers keeps padding and truncation as state, which threads would share.
_TURN = RLock()


@dataclass(frozen=True)
class Pieces:
    """Untruncated pieces of one prompt: their ids, and their spans in ``text``."""

    text: str
    parts: list[Span]
    ids: list[int]


def ids_of(tokenizer: Any, texts: list[str], context_length: int) -> Tensor:
    """Call the library's tokenizer, with padding to the context length."""
    if not (_is_simple(tokenizer) or _is_wrapped(tokenizer) or _is_hf(tokenizer)):
        raise UnsupportedModelError(
            f"tokenizer of type {type(tokenizer).__name__} is not supported; give OpenCLIP's "
            "SimpleTokenizer or HFTokenizer, or a tokenizer of transformers"
        )
    with _reading(texts):
        if not _is_hf(tokenizer):
            ids: Tensor = tokenizer(texts, context_length=context_length)
            return ids
        read = _inner(tokenizer)(
            texts,
            padding="max_length",
            truncation=True,
            max_length=context_length,
            return_tensors="pt",
        )
        return read["input_ids"]  # type: ignore[no-any-return]


def pieces_of(tokenizer: Any, text: str) -> Pieces:
    """Tokenize one prompt without special tokens and truncation."""
    with _reading([text]):
        if _is_simple(tokenizer):
            return _simple_pieces(tokenizer, text)
        clean = tokenizer.clean_fn if _is_wrapped(tokenizer) else str
        pieces = _hf_pieces(_inner(tokenizer), clean(text))
    if getattr(tokenizer, "strip_sep_token", False):
        separator = _inner(tokenizer).sep_token_id
        pieces.ids[:] = [0 if i == separator else i for i in pieces.ids]
    return pieces


@contextmanager
def _reading(texts: Sequence[str]) -> Iterator[None]:
    """Call a tokenizer in one thread at a time, and convert its exceptions to one-line errors."""
    try:
        with _TURN:
            yield
    except WhyclipError:
        raise
    except Exception as error:
        odd = next((t for t in texts if not _encodable(t)), texts[0] if texts else "")
        raise PromptError(
            f"prompt {quoted(odd)} cannot be read by the tokenizer: {reason(error)}"
        ) from error


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_hf(tokenizer: Any) -> bool:
    """Whether it is a tokenizer of transformers, or a processor with one."""
    return not (_is_simple(tokenizer) or _is_wrapped(tokenizer)) and hasattr(
        _inner(tokenizer), "convert_ids_to_tokens"
    )


def _is_wrapped(tokenizer: Any) -> bool:
    """Whether it is OpenCLIP's ``HFTokenizer``."""
    return hasattr(tokenizer, "clean_fn") and hasattr(tokenizer, "tokenizer")


def _is_simple(tokenizer: Any) -> bool:
    """Whether it is OpenCLIP's; slow tokenizers of transformers 4 also have a byte decoder."""
    return hasattr(tokenizer, "byte_decoder") and hasattr(tokenizer, "sot_token_id")


def _inner(tokenizer: Any) -> Any:
    return getattr(tokenizer, "tokenizer", tokenizer)


def _simple_pieces(tokenizer: Any, text: str) -> Pieces:
    """Decode byte-level pieces together, because a character may consist of several pieces."""
    ids = list(tokenizer.encode(text))
    raw = [
        bytes(tokenizer.byte_decoder[c] for c in tokenizer.decoder[i].removesuffix("</w>"))
        for i in ids
    ]
    return _from_bytes(ids, raw)


def _from_bytes(ids: list[int], raw: Sequence[bytes]) -> Pieces:
    joined = b"".join(raw)
    decoded = joined.decode("utf-8", errors="replace")
    place: list[int] = []
    for i, character in enumerate(decoded):
        place.extend([i] * len(character.encode("utf-8")))
    parts, at = [], 0
    for piece in raw:
        here = place[at : at + len(piece)]
        parts.append((here[0], here[-1] + 1) if here else (0, 0))
        at += len(piece)
    return Pieces(decoded, parts, ids)


def _hf_pieces(inner: Any, text: str) -> Pieces:
    if getattr(inner, "is_fast", False):
        read = inner(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        parts = [(int(a), int(b)) for a, b in read["offset_mapping"]]
        return Pieces(text, parts, list(read["input_ids"]))
    ids = list(inner(text, add_special_tokens=False, verbose=False)["input_ids"])
    tokens = inner.convert_ids_to_tokens(ids)
    if hasattr(inner, "byte_decoder"):
        decoder = inner.byte_decoder
        return _from_bytes(
            ids, [bytes(decoder[c] for c in token.removesuffix("</w>")) for token in tokens]
        )
    marks = ("\u2581", "\u0120", "##", "</w>")
    parts, cleaned = [], ""
    for token in tokens:
        for mark in marks:
            token = token.replace(mark, "")  # noqa: PLW2901 - marks are removed one by one
        parts.append((len(cleaned), len(cleaned) + len(token)))
        cleaned += token
    return Pieces(cleaned, parts, ids)
