"""Tokenizers of transformers that are written in Python find the words that fast ones find.

They give no places of their pieces; these are read from the pieces' own characters, with the
marks that each kind writes: a block before a word, two hashes within one, or bytes.
"""

from __future__ import annotations

from typing import Any

import pytest
import transformers

import families_hf
import tiny
from whyclip.inputs import tokenize, word_relevance

PROMPTS = ["a dog", "two red cars, next to it", "the photo of a cat."]
CONTEXT = 24


class Slow(transformers.PreTrainedTokenizer):
    """Each word in two pieces where it is long enough, written in the way of one kind."""

    def __init__(self, first: str, within: str, after: str) -> None:
        self.first, self.within, self.after = first, within, after
        marks = ["<pad>", "</s>", "<unk>"]
        words = [*families_hf.WORDS, "it", "cars", ",", "."]
        pieces = dict.fromkeys(p for word in words for p in self._pieces(word))
        self.vocabulary = {p: i for i, p in enumerate([*marks, *pieces])}
        self.pieces = list(self.vocabulary)
        super().__init__(pad_token="<pad>", eos_token="</s>", unk_token="<unk>")
        self.model_max_length = CONTEXT

    def _pieces(self, word: str) -> list[str]:
        if len(word) < 3:
            return [self.first + word + self.after]
        return [self.first + word[:2], self.within + word[2:] + self.after]

    @property
    def vocab_size(self) -> int:
        return len(self.vocabulary)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.vocabulary)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        separate = text.replace(",", " ,").replace(".", " .")
        return [piece for word in separate.split() for piece in self._pieces(word)]

    def _convert_token_to_id(self, token: str) -> int:
        return self.vocabulary.get(token, 2)

    def _convert_id_to_token(self, index: int) -> str:
        return self.pieces[index]

    def build_inputs_with_special_tokens(self, ids: list[int], _: Any = None) -> list[int]:
        return [*ids, 1]


class Bytes(Slow):
    """The same by bytes, as CLIP's own tokenizer in Python does."""

    @property
    def byte_decoder(self) -> dict[str, int]:
        return {chr(i): i for i in range(256)}


KINDS = {
    "sentencepiece": lambda: Slow("\u2581", "", ""),
    "wordpiece": lambda: Slow("", "##", ""),
    "gpt2": lambda: Slow("\u0120", "", ""),
    "clip": lambda: Slow("", "", "</w>"),
    "bytes": lambda: Bytes("", "", "</w>"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_piece_belongs_to_the_word_that_it_was_made_of(kind: str) -> None:
    tokenizer = KINDS[kind]()
    assert not getattr(tokenizer, "is_fast", False)
    tokens = tokenize(tokenizer, PROMPTS, CONTEXT)
    by_clip = tokenize(tiny.hf_tokenizer(), PROMPTS, tiny.CONTEXT)
    for row, prompt in enumerate(PROMPTS):
        expected = [word for word, _, _ in by_clip.words[row]]
        assert [word for word, _, _ in tokens.words[row]] == expected
        pieces = [len(tokenizer._pieces(word)) for word in expected]
        assert len(tokens.positions[row]) == sum(pieces)
        ones = [1.0] * len(tokens.positions[row])
        words = word_relevance(tokens.words[row], tokens.spans[row], ones)
        # Each word has the sum over its own pieces.
        assert [word.relevance for word in words] == pytest.approx(pieces)
        assert [prompt[word.start : word.end] for word in words] == expected
