"""Special tokens are recognised by position: each id belongs to the word that its span names."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer

import families
import tiny
import whyclip
from families_hf import word_tokenizer
from whyclip.errors import PromptError, UnsupportedModelError, WhyclipWarning
from whyclip.inputs import content_mask, padding, tokenize, written

CONTEXT = 16
LITERALS = (
    "[MASK] [SEP] [CLS] [PAD] [UNK] </s> <s> <pad> <unk> <mask> <end_of_text> <start_of_text>"
)
MARKS = [*LITERALS.split(), "<|endoftext|>", "<|startoftext|>"]
PLAIN = [
    "a",
    "dog",
    "cat",
    "Red",
    "cars",
    "tree",
    ".",
    ",",
    "?!",
    "!",
    "é",
    "狗",
    "🐕",
    "👩‍🚀",
    "ふ",
    "x1",
]
# How many special tokens each adds in front of a prompt and in all; written by hand.
ADDED = {
    **dict.fromkeys(["simple", "hf", "bert", "openclip-bert"], (1, 2)),
    **dict.fromkeys(["openclip-hf", "clips", "left"], (1, 2)),
    **dict.fromkeys(["siglip", "eos-2", "openclip-siglip"], (0, 1)),
}
ADDED["clips"] = (1, 3)


@lru_cache
def tokenizer(name: str) -> Any:
    """Every kind of tokenizer that the tests know, by name."""
    if name == "simple":
        return SimpleTokenizer()
    if name == "hf":
        return tiny.hf_tokenizer()
    if name in ("bert", "siglip", "eos-2"):
        return word_tokenizer(name, CONTEXT)
    if name == "left":
        inner = word_tokenizer.__wrapped__("bert", CONTEXT)
        inner.padding_side = inner.truncation_side = "left"
        return inner
    # OpenCLIP's own wrapper, around what it would otherwise fetch.
    wrapper = HFTokenizer.__new__(HFTokenizer)
    wrapper.clean_fn = open_clip.tokenizer.get_clean_fn("whitespace")
    wrapper.context_length, wrapper.tokenizer_mode = CONTEXT, ""
    wrapper.strip_sep_token = name == "openclip-bert"
    if name == "clips":
        wrapper.tokenizer_mode = "clips"
        wrapper.tokenizer = word_tokenizer.__wrapped__("bert", CONTEXT)
        wrapper.tokenizer.bos_token, wrapper.tokenizer.eos_token = "in", "[SEP]"
    else:
        wrapper.tokenizer = (
            tiny.hf_tokenizer()
            if name == "openclip-hf"
            else word_tokenizer(name.removeprefix("openclip-"), CONTEXT)
        )
    return wrapper


def ids_alone(text_tokenizer: Any, chunk: str) -> list[int]:
    """The ids of a piece of a prompt, by the library's own call for it alone."""
    if isinstance(text_tokenizer, SimpleTokenizer):
        return list(text_tokenizer.encode(chunk))
    inner = getattr(text_tokenizer, "tokenizer", text_tokenizer)
    ids = list(inner(chunk, add_special_tokens=False)["input_ids"])
    if getattr(text_tokenizer, "strip_sep_token", False):
        return [0 if i == inner.sep_token_id else i for i in ids]
    return ids


def check(name: str, chunks: Sequence[str]) -> None:
    """Compare with each chunk tokenized alone: its ids stand in order, between special tokens."""
    text_tokenizer, text = tokenizer(name), " ".join(chunks)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tokens = tokenize(text_tokenizer, [text], CONTEXT)
    pieces, at = [], 0
    for chunk in chunks:
        pieces += [(i, at, at + len(chunk)) for i in ids_alone(text_tokenizer, chunk)]
        at += len(chunk) + 1
    before, added = ADDED[name]
    room = CONTEXT - added
    kept = pieces[-room:] if name == "left" else pieces[:room]
    first = CONTEXT - 1 - len(kept) if name == "left" else before
    assert tokens.positions[0] == tuple(range(first, first + len(kept)))
    row = tokens.ids[0].tolist()
    for (expected, start, end), position, span in zip(
        kept, tokens.positions[0], tokens.spans[0], strict=True
    ):
        assert row[position] == expected
        assert span is not None
        assert start <= span[0] < span[1] <= end
    assert bool(tokens.cut[0]) == (len(pieces) > room) == bool(caught)
    lost = "".join(text.split()[-1:] if name != "left" else text.split()[:1])
    assert not caught or (tokens.cut[0][0] in lost or tokens.cut[0][-1] in lost)
    assert torch.equal(written(text_tokenizer, tokens.ids), content_mask(tokens))


@pytest.mark.parametrize("name", ADDED)
@settings(deadline=None, max_examples=40)
@given(chunks=st.lists(st.sampled_from(MARKS + PLAIN), min_size=1, max_size=9))
def test_each_id_belongs_to_the_word_its_span_names(name: str, chunks: list[str]) -> None:
    if name in ("hf", "openclip-hf", "openclip-bert"):
        chunks = [*chunks, "dog"]  # padding and end are one id here: a last one is not known
    check(name, chunks)


@pytest.mark.parametrize("name", ADDED)
@pytest.mark.parametrize("mark", MARKS)
def test_a_special_token_in_a_prompt_is_a_word(name: str, mark: str) -> None:
    check(name, ["a", mark, "dog"])
    check(name, [mark, mark, "dog"])


@pytest.mark.parametrize("name", ADDED)
def test_the_padding_is_what_stands_behind_or_before_a_short_prompt(name: str) -> None:
    text_tokenizer = tokenizer(name)
    row = tokenize(text_tokenizer, ["a"], CONTEXT).ids[0].tolist()
    assert padding(text_tokenizer, CONTEXT) == row[0 if name == "left" else -2]


@pytest.mark.parametrize("family", families.SMALL)
def test_the_towers_mark_the_same_positions_as_the_words(family: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    texts = ["a dog", "a [SEP] dog", "a </s> cat", "a <end_of_text> dog on", "two [PAD] cat"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WhyclipWarning)
        reads = view.text.readout_index if view.text.causal else None
        tokens = tokenize(view.tokenizer, texts, view.text.context, reads)
    if not view.text.opaque:
        ids = view.text.trim(tokens.ids)
        content = view.text.embed(ids).content_mask
        expected = content_mask(tokens)[:, : content.shape[1]]
        assert torch.equal(content[:, : expected.shape[1]], expected)


def test_words_behind_an_end_token_are_not_seen_and_are_named() -> None:
    """The model's own embedding does not change with them, and they get no relevance."""
    model, preprocess, clip = tiny.openclip_parts()
    view = whyclip.wrap(model, preprocess, clip)
    image = families.picture()
    with pytest.warns(WhyclipWarning, match=r"end token.*ignored: 'dog'"):
        explanation = whyclip.explain(view, image, "a cat <end_of_text> dog", method="contribution")
    with torch.no_grad():
        ids = clip(["a cat <end_of_text> dog", "a cat <end_of_text> red cars"])
        first, second = model.encode_text(ids)
    torch.testing.assert_close(first, second)
    assert [word.text for word in explanation.words[0]] == ["a", "cat"]


def test_words_behind_a_separator_are_seen_where_all_tokens_are() -> None:
    view = whyclip.wrap(*families.SMALL["chinese-clip"]())
    with warnings.catch_warnings():
        warnings.simplefilter("error", WhyclipWarning)
        explanation = whyclip.explain(
            view, families.picture(), "a [SEP] dog", method="contribution"
        )
    words = {word.text: word.relevance for word in explanation.words[0]}
    assert list(words) == ["a", "[", "SEP", "]", "dog"]
    assert words["dog"] != 0


def test_a_prompt_of_which_nothing_is_read_is_noted() -> None:
    wrapper = tokenizer("openclip-hf")
    canonical = HFTokenizer.__new__(HFTokenizer)
    vars(canonical).update(vars(wrapper))
    canonical.clean_fn = open_clip.tokenizer.get_clean_fn("canonicalize")
    with pytest.warns(WhyclipWarning, match=r"no known text in prompt '\?!'"):
        tokens = tokenize(canonical, ["?!"], CONTEXT)
    assert tokens.positions == ((),)
    with warnings.catch_warnings():
        warnings.simplefilter("error", WhyclipWarning)
        tokenize(canonical, ["a dog?!", ""], CONTEXT)


def test_a_tokenizer_that_draws_pieces_at_random_is_refused() -> None:
    drawing = SimpleTokenizer(reduction_mask="random")
    with pytest.raises(UnsupportedModelError, match="gives different ids"):
        tokenize(drawing, ["one two three four five six seven eight nine ten"], 6)


@pytest.mark.parametrize("name", ADDED)
def test_half_a_surrogate_pair_is_read_or_refused_in_one_line(name: str) -> None:
    message = ""
    try:
        tokens = tokenize(tokenizer(name), ["a \ud83d dog"], CONTEXT)
    except PromptError as error:
        message = str(error)
    else:
        assert len(tokens.positions[0]) == len(tokens.spans[0])
    assert ("\\ud83d" in message) == bool(message)
    assert len(message.splitlines()) <= 1
