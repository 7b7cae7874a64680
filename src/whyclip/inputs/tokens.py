"""Token ids for the model, and the position of each piece in the user's prompt.

Ids come from the library's own call; pieces are computed separately.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from whyclip.errors import UnsupportedModelError, quoted, warn
from whyclip.inputs.frame import Frame, measure
from whyclip.inputs.pieces import ids_of, pieces_of
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
    """Prompts as input of the text encoder.

    Attributes:
        ids: ``[p, t]`` int64, padded to the context length.
        positions: for each prompt, the positions of the pieces in the model's input.
        spans: for each of these pieces, its span in the prompt, or None.
        words: for each prompt, its words as returned by :func:`words_of`.
        cut: for each prompt, the words that are truncated, at least in part.
    """

    ids: Tensor
    positions: tuple[tuple[int, ...], ...]
    spans: tuple[tuple[Span | None, ...], ...]
    words: tuple[tuple[WordSpan, ...], ...]
    cut: tuple[tuple[str, ...], ...]

    @property
    def groups(self) -> tuple[tuple[tuple[int, ...], ...], ...]:
        """Positions of the pieces of each word of each prompt."""
        return tuple(
            tuple(tuple(positions[i] for i in pieces) for pieces in word_pieces(words, spans))
            for words, spans, positions in zip(self.words, self.spans, self.positions, strict=True)
        )


def tokenize(
    tokenizer: Any,
    texts: Sequence[str],
    context_length: int,
    readout: Callable[[Tensor], Tensor] | None = None,
) -> Tokens:
    """Tokenize prompts with the user's own tokenizer.

    Args:
        tokenizer: OpenCLIP's ``SimpleTokenizer`` or ``HFTokenizer``, a tokenizer of
            transformers, or a processor that holds one.
        texts: prompts, not empty.
        context_length: number of positions t.
        readout: function from ids ``[p, t]`` to the position ``[p]`` of the readout token, if later
            tokens have no effect; None if all tokens have.

    Returns:
        Ids, and for each piece its position and its span in the prompt.

    Warns:
        WhyclipWarning: some words are ignored, because the prompt is longer than the context or
            contains an end token, or the tokenizer finds no known text in a prompt.

    Raises:
        PromptError: the tokenizer cannot read a prompt.
        UnsupportedModelError: unsupported tokenizer, or one whose ids for a prompt depend on the
            call.
    """
    texts = list(texts)
    ids = ids_of(tokenizer, texts, context_length)
    frame = _frame(tokenizer, context_length)
    stops = torch.full((len(ids),), ids.shape[1]) if readout is None else readout(ids)
    places, all_spans, all_words, all_cut = [], [], [], []
    for text, row, stop in zip(texts, ids.tolist(), stops.tolist(), strict=True):
        pieces = pieces_of(tokenizer, text)
        kept = _kept(tokenizer, frame, pieces.ids, row)
        visible = {index: place for index, place in kept.items() if place < stop}
        spans = spans_of_parts(text, pieces.text, pieces.parts)
        words = words_of(text)
        beyond = [span for i, span in enumerate(spans) if i not in kept]
        behind = [spans[i] for i, place in kept.items() if place > stop]
        _note(
            text,
            words_under(words, beyond),
            words_under(words, behind),
            read=bool(pieces.ids),
            context_length=context_length,
        )
        places.append(tuple(visible.values()))
        all_spans.append(tuple(spans[i] for i in visible))
        all_words.append(words)
        all_cut.append(words_under(words, [*behind, *beyond]))
    return Tokens(ids.long(), tuple(places), tuple(all_spans), tuple(all_words), tuple(all_cut))


def padding(tokenizer: Any, context_length: int) -> int:
    """Return the padding id of a tokenizer that :func:`tokenize` accepts."""
    pad = _frame(tokenizer, context_length).pad
    return int(ids_of(tokenizer, [""], context_length)[0, -1]) if pad is None else pad


def written(tokenizer: Any, ids: Tensor, readout: Tensor | None = None) -> Tensor:
    """Mark the user's text among token ids ``[p, t]``, without special tokens and padding.

    Args:
        tokenizer: as for :func:`tokenize`.
        ids: rows of ids; they may be shortened after the prompts or lack some pieces.
        readout: position ``[p]`` of the readout token of a causal model, which ignores later
            tokens.

    Returns:
        ``[p, t]`` bool, on the device of the ids.
    """
    mask = _frame(tokenizer, None).content(ids)
    if readout is not None:
        mask &= torch.arange(ids.shape[1], device=ids.device) < readout[:, None]
    return mask


# The last measured frame of each tokenizer, and the state of the tokenizer.
_FRAMES: WeakKeyDictionary[Any, tuple[tuple[Any, ...], Frame]] = WeakKeyDictionary()
_STATE = (
    *("padding_side", "truncation_side", "pad_token_id", "eos_token_id", "sep_token_id"),
    *("cls_token_id", "bos_token_id", "strip_sep_token", "tokenizer_mode"),
)


def _frame(tokenizer: Any, context_length: int | None) -> Frame:
    """Measure the positions of the tokenizer's special tokens, or return the cached ones."""
    kinds = (tokenizer, getattr(tokenizer, "tokenizer", tokenizer))
    state = tuple(getattr(kind, name, None) for kind in kinds for name in _STATE)
    before, frame = _FRAMES.get(tokenizer, ((), Frame()))
    if before and before[1:] == state and context_length in (None, before[0]):
        return frame
    # CLIP's number of positions, if the caller gives none.
    length = context_length or 77
    frame = measure(
        lambda texts: ids_of(tokenizer, texts, length),
        lambda text: pieces_of(tokenizer, text).ids,
        length,
    )
    _FRAMES[tokenizer] = (length, *state), frame
    return frame


def _kept(tokenizer: Any, frame: Frame, pieces: list[int], row: list[int]) -> dict[int, int]:
    """Map each piece in the row, by index, to its position.

    Raises:
        UnsupportedModelError: the row does not contain the pieces at the prompt's position.
    """
    count = min(len(pieces), frame.room)
    first = frame.first(count, len(row))
    skips = [0, len(pieces) - count]
    if getattr(getattr(tokenizer, "tokenizer", tokenizer), "truncation_side", "right") == "left":
        skips.reverse()
    for skipped in skips:
        if count and pieces[skipped : skipped + count] == row[first : first + count]:
            return {skipped + i: first + i for i in range(count)}
    if pieces:
        raise UnsupportedModelError(
            f"tokenizer of type {type(tokenizer).__name__} gives different ids for a list of "
            "prompts and for one prompt, so its words have no known position"
        )
    return {}


def _note(
    text: str, cut: tuple[str, ...], late: tuple[str, ...], *, read: bool, context_length: int
) -> None:
    """Warn about words of a prompt that the model ignores."""
    if cut:
        warn(
            f"prompt {quoted(text)} is longer than the model's {context_length} tokens; "
            f"ignored: {quoted(' '.join(cut))}"
        )
    if late:
        warn(
            f"prompt {quoted(text)} contains an end token; words after it are ignored: "
            f"{quoted(' '.join(late))}"
        )
    if not read and text.strip():
        warn(
            f"the tokenizer finds no known text in prompt {quoted(text)}; "
            "the model gets an empty prompt"
        )


def content_mask(tokens: Tokens) -> Tensor:
    """Mark the positions of the user's own words: ``[p, t]`` bool."""
    mask = torch.zeros_like(tokens.ids, dtype=torch.bool)
    for row, positions in zip(mask, tokens.positions, strict=True):
        row[list(positions)] = True
    return mask
