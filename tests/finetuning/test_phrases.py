"""Phrases of captions: compared with hand-written answers, and properties on odd input."""

from __future__ import annotations

import pickle
import sys
import time
from types import SimpleNamespace

import pytest
from benchmarks.phrases import read_answers, scores
from hypothesis import given
from hypothesis import strategies as st

from whyclip.errors import InputError, OptionError
from whyclip.finetuning.phrases import phrase_extractor
from whyclip.finetuning.rules import rule_phrases
from whyclip.finetuning.spacy_phrases import spacy_missing, spacy_phrases

ANSWERS = read_answers()


@pytest.mark.parametrize("half", ["tuned", "held-out"])
@pytest.mark.parametrize("style", ["coco", "cc3m", "scenes", "hard", "all"])
def test_rules_find_the_hand_written_phrases(half, style):
    got = scores(ANSWERS, rule_phrases, style, half)
    assert got["precision"] >= 0.93
    assert got["recall"] >= 0.93


def test_there_are_300_captions_with_answers():
    assert len(ANSWERS) == 300
    assert all(len(answer.phrases) <= 5 for answer in ANSWERS)
    assert all(len(set(answer.phrases)) == len(answer.phrases) for answer in ANSWERS)


@given(st.text(max_size=200))
def test_phrases_are_few_distinct_and_words_of_the_caption(caption):
    phrases = rule_phrases(caption)
    assert len(phrases) <= 5
    assert len(set(phrases)) == len(phrases)
    assert all(phrase == phrase.strip() and phrase for phrase in phrases)


WORDS = ["a", "red", "dog", ",", "and", "photo", "of", "riding", "the", "man's", "<b>", "two"]


@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_frames_and_determiners_are_never_phrases(words):
    for phrase in rule_phrases(" ".join(words)):
        assert phrase.split()[0] not in {"a", "the", "two", "and", "of"}
        assert "photo" not in phrase.split()[-1:]
        assert "<" not in phrase


@pytest.mark.parametrize(
    "caption",
    ["red, " * 10000, "a big dog " * 10000, "w" + "-w" * 50000, "<" * 50000, "&" * 50000,
     "a.b-" * 20000, "close " * 20000, "http://" * 10000],
)  # fmt: skip
def test_very_long_captions_take_linear_time(caption):
    start = time.perf_counter()
    rule_phrases(caption)
    assert time.perf_counter() - start < 3


@pytest.mark.parametrize("caption", ["犬と猫", "собака и кошка", "😀😀", "", "   ", "\ud800", "\0"])
def test_captions_without_english_words_have_no_phrases(caption):
    assert rule_phrases(caption) == []


def test_users_function_is_cut_to_five_distinct_phrases():
    extract = phrase_extractor(lambda caption: [*caption.split(), "", " "])
    assert extract("a b a c d e f") == ["a", "b", "c", "d", "e"]


def test_users_function_may_be_a_generator_or_give_more_than_five():
    def words(caption):
        yield from caption.split()

    assert phrase_extractor(words)("a b A c") == ["a", "b", "c"]
    assert phrase_extractor(words, 7)("a b c d e f g h") == list("abcdefg")
    assert phrase_extractor(lambda caption: ["\ud800 dog"])("") == ["? dog"]
    long = "a red dog, a cat, a boat, a tree, a house, a car, and a hat"
    assert len(phrase_extractor("rules")(long)) == 5
    assert phrase_extractor("rules", 7)(long)[5:] == ["car", "hat"]


def test_users_function_that_fails_is_named_with_the_caption():
    def mine(caption):
        raise KeyError("no\nword")

    with pytest.raises(InputError, match="mine failed on the caption 'a dog' with KeyError") as got:
        phrase_extractor(mine)("a dog")
    assert "\n" not in str(got.value)


@pytest.mark.parametrize("returned", ["dog", [1, 2], ["dog", None], None])
def test_users_function_must_return_strings(returned):
    with pytest.raises(InputError, match="return a list of strings"):
        phrase_extractor(lambda caption: returned)("a dog")


def test_unknown_extractor_is_refused():
    with pytest.raises(OptionError, match="did you mean rules"):
        phrase_extractor("rule")


def test_missing_spacy_model_is_reported_and_auto_falls_back(monkeypatch):
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "en_core_web_sm" else object()
    )
    with pytest.raises(InputError, match="python -m spacy download en_core_web_sm") as caught:
        phrase_extractor("spacy")
    assert len(str(caught.value)) < 160
    assert phrase_extractor("auto").name == "rules"


def test_missing_spacy_is_reported(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'whyclip[spacy]'" in spacy_missing()


def test_auto_uses_spacy_where_its_model_is_installed(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    chunk = [SimpleNamespace(lower_=w, pos_=p, tag_="", dep_="") for w, p in CHUNK]
    document = Document(chunk)
    load = lambda name, exclude: lambda caption: document  # noqa: E731
    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=load))
    extract = phrase_extractor("auto")
    assert extract.name == "spacy"
    assert pickle.loads(pickle.dumps(extract)).find.nlp is None
    assert extract("Three small dogs") == ["small dogs"]
    assert pickle.loads(pickle.dumps(extract)).find.nlp is None


CHUNK = [("three", "NUM"), ("small", "ADJ"), ("dogs", "NOUN")]


class Document(list):
    """One noun chunk, without spaCy."""

    @property
    def noun_chunks(self):
        chunk = SimpleNamespace(end=len(self))
        yield type("Chunk", (), {"end": chunk.end, "__iter__": lambda _: iter(self)})()


def parsed(words):
    """Build a true spaCy document from (word, part of speech, dependency, head) rows."""
    import spacy
    from spacy.tokens import Doc

    nlp = spacy.blank("en")
    texts, tags, dependencies, heads = zip(*words, strict=True)
    fine = ["POS" if text == "'s" else "" for text in texts]
    return Doc(nlp.vocab, words=texts, pos=tags, tags=fine, deps=dependencies, heads=list(heads))


def test_spacys_noun_chunks_lose_determiners_frames_and_possessors():
    document = parsed([
        ("A", "DET", "det", 1), ("photo", "NOUN", "ROOT", 1), ("of", "ADP", "prep", 1),
        ("two", "NUM", "nummod", 6), ("very", "ADV", "advmod", 5), ("small", "ADJ", "amod", 6),
        ("Dogs", "NOUN", "pobj", 2), ("and", "CCONJ", "cc", 6), ("it", "PRON", "conj", 6),
        ("with", "ADP", "prep", 1), ("the", "DET", "det", 11), ("man", "NOUN", "poss", 13),
        ("'s", "PART", "case", 11), ("hat", "NOUN", "pobj", 9),
    ])  # fmt: skip
    assert spacy_phrases(lambda _: document, "…") == ["small dogs", "man", "hat"]


def test_spacys_quantities_and_positions_are_no_phrases():
    document = parsed([
        ("A", "DET", "det", 1), ("group", "NOUN", "ROOT", 1), ("of", "ADP", "prep", 1),
        ("people", "NOUN", "pobj", 2), ("in", "ADP", "prep", 3), ("front", "NOUN", "pobj", 4),
        ("of", "ADP", "prep", 5), ("black", "ADJ", "amod", 10), ("and", "CCONJ", "cc", 7),
        ("white", "ADJ", "conj", 7), ("cars", "NOUN", "pobj", 6),
    ])  # fmt: skip
    assert spacy_phrases(lambda _: document, "…") == ["people", "black and white cars"]


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("the 3rd car of the man 's brother", ["car", "man", "brother"]),
        ("a pencil drawing of a zebra", ["zebra"]),
        ("a dog , despite the rain", ["dog", "rain"]),
        ("the second half of a game", ["second half", "game"]),
        ("people tour the park", ["people", "park"]),
    ],
)
def test_forms_of_real_alt_text(caption, phrases):
    assert rule_phrases(caption) == phrases
