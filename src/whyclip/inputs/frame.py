"""Positions of a prompt among start tokens, end tokens and padding.

Special tokens are recognised by position, not by id, because a prompt may contain ``[SEP]`` or an
end token. The positions are measured on a few prompts of known content.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Every tokenizer supports at least one of these.
_NEUTRAL = ("a", "dog", "1", "一")

Call = Callable[[list[str]], Tensor]
Content = Callable[[str], Sequence[int]]


@dataclass(frozen=True)
class Frame:
    """The special tokens that a tokenizer adds to each prompt.

    Attributes:
        before: ids before the prompt.
        after: ids right after it.
        end: ids at the end of the row, after the padding.
        pad: id of the padding; None if no row has any.
        room: number of pieces that fit in the context.
        padded_left: whether padding comes first.
    """

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    pad: int | None = None
    room: int = 0
    padded_left: bool = False

    def first(self, pieces: int, length: int) -> int:
        """Return the position of the first piece, given the numbers of pieces and positions."""
        if self.padded_left:
            return length - len(self.end) - len(self.after) - pieces
        return len(self.before)

    def content(self, ids: Tensor) -> Tensor:
        """Mark the positions of the prompt in rows ``[p, t]``: ``[p, t]`` bool."""
        length = ids.shape[1]
        place = torch.arange(length, device=ids.device)[None]
        start = torch.full_like(ids[:, :1], len(self.before))
        stop = torch.full_like(start, length)
        if self.end and bool((ids[:, -1] == self.end[-1]).all()):
            stop -= len(self.end)
        if self.padded_left:
            start = start + _run(ids, self.pad, self.before[:1])
        else:
            upto = ids[:, : int(stop.min())] if len(ids) else ids
            stop = stop - _run(upto.flip(1), self.pad, self.after[-1:])
        return (place >= start) & (place < stop - len(self.after))


def measure(call: Call, content: Content, context_length: int) -> Frame:
    """Measure the frame on prompts of one word, two words, and too many words.

    Args:
        call: function from prompts to rows of ids ``[p, t]``, the model's input.
        content: function from one prompt to the ids of its pieces.
        context_length: number of positions t.
    """
    special = set(call([""])[0].tolist())
    read = ((word, set(content(word))) for word in _NEUTRAL)
    word = next((word for word, ids in read if ids and special.isdisjoint(ids)), None)
    if word is None:
        return Frame()
    texts = [word, f"{word} {word}", " ".join([word] * context_length)]
    rows = [row.tolist() for row in call(texts)]
    one_word, two_words, many_words = (list(content(text)) for text in texts)
    at, at_two = _find(one_word, rows[0]), _find(two_words, rows[1])
    if at is None:
        return Frame()
    left = at_two is not None and at_two < at
    room = _room(many_words, rows[2])
    start = _find(many_words[:room], rows[2]) or 0
    after_many = rows[2][start + room :]
    after_one = rows[0][at + len(one_word) :]
    if left:
        before = rows[2][:start]
        front = rows[0][: at - len(before)]
        pad = front[-1] if front else None
        return Frame(tuple(before), tuple(after_many), (), pad, room, padded_left=True)
    shared = 0
    while shared < min(len(after_many), len(after_one)) and after_many[shared] == after_one[shared]:
        shared += 1
    padding = after_one[shared : len(after_one) - (len(after_many) - shared)]
    pad = padding[0] if padding else None
    return Frame(
        tuple(rows[0][:at]), tuple(after_many[:shared]), tuple(after_many[shared:]), pad, room
    )


def _run(ids: Tensor, pad: int | None, neighbour: Sequence[int]) -> Tensor:
    """Return the length ``[p, 1]`` of the padding at the start of each row.

    If the special token next to the padding has the same id, one token of the run is that token.
    """
    if pad is None:
        return torch.zeros_like(ids[:, :1])
    run = (ids == pad).long().cumprod(1).sum(1, keepdim=True)
    return (run - 1).clamp_min(0) if list(neighbour) == [pad] else run


def _find(part: Sequence[int], row: Sequence[int]) -> int | None:
    """Return the first position of a part in a row."""
    part = list(part)
    return next(
        (i for i in range(len(row) - len(part) + 1) if list(row[i : i + len(part)]) == part), None
    )


def _room(many: Sequence[int], row: Sequence[int]) -> int:
    """Return the largest number of consecutive pieces of one repeated word in a row."""
    return next(
        (n for n in range(min(len(many), len(row)), 0, -1) if _find(many[:n], row) is not None), 0
    )
