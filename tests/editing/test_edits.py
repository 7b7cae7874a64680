"""Edits of a prompt: which ones are written, and their scores one by one."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny
import whyclip
from whyclip import lexicon
from whyclip.editing.parts import group_of_noun, parts_of, plural, singular
from whyclip.editing.variants import KINDS, drafts, with_articles
from whyclip.errors import ImageError, OptionError, OutputError, PromptError
from whyclip.models import ModelView

PROMPT = "a dog and a red car"


@pytest.fixture(scope="module")
def view() -> ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def image() -> Image.Image:
    pixels = np.random.default_rng(5).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("a red car", {"red": "colour", "car": "noun"}),
        ("A big brown dog.", {"big": "adjective", "brown": "colour", "dog": "noun"}),
        ("a photo of a teddy bear", {"teddy bear": "noun"}),
        ("two green apples on the wooden table",
         {"green": "colour", "apples": "noun", "wooden": "adjective", "table": "noun"}),
        ("dog", {"dog": "noun"}),
        ("a dog, a dog", {"dog": "noun"}),
        ("?!", {}),
    ],
)  # fmt: skip
def test_nouns_colours_and_adjectives_are_recognised(prompt: str, expected: dict[str, str]) -> None:
    parts = parts_of(prompt)
    assert {part.text: part.kind for part in parts if part.kind != "other"} == expected
    assert all(prompt[part.start : part.end] == part.text for part in parts)
    assert [part.start for part in parts] == sorted(part.start for part in parts)


def edited(prompt: str, kind: str, **lists: Any) -> list[str]:
    return [draft.prompt for draft in drafts(prompt, [kind], lists)]  # type: ignore[list-item]


def test_every_word_is_left_out_once() -> None:
    assert edited(PROMPT, "leave out") == [
        "dog and a red car",
        "a and a red car",
        "a dog a red car",
        "a dog and red car",
        "a dog and a car",
        "a dog and a red",
    ]
    assert edited("an old apple, please!", "leave out")[1] == "an apple, please!"
    assert edited("dog", "leave out") == []


def test_nouns_colours_and_adjectives_are_swapped() -> None:
    swapped = edited("a red apple", "swap", noun=["owl", "Apple"], colour=["green", "orange"])
    assert swapped == ["a green apple", "an orange apple", "a red owl"]
    shipped = edited("a small red dog", "swap")
    assert "a big red dog" in shipped
    assert "a small blue dog" in shipped
    assert "a small red fox" in shipped
    assert "a small red dog" not in shipped
    assert len(shipped) == len(set(shipped))
    assert "two foxes" in edited("two dogs", "swap")
    unknown = edited("a flurble", "swap")
    assert unknown == [with_articles(f"a {group[0]}") for group in lexicon.bare_nouns()]


def test_words_of_a_phrase_and_parts_of_one_kind_are_exchanged() -> None:
    both = edited("a red car and a blue owl", "exchange")
    assert both == [
        "a car red and a blue owl",
        "a red car and an owl blue",
        "a red owl and a blue car",
        "a blue car and a red owl",
    ]
    assert edited("dog", "exchange") == []


@pytest.mark.parametrize(
    ("given", "right"),
    [
        ("a owl", "an owl"),
        ("An car", "A car"),
        ("a unicorn", "a unicorn"),
        ("an hourglass", "an hourglass"),
        ("a and an of", "a and an of"),
        ("banana", "banana"),
    ],
)
def test_articles_fit_the_word_behind(given: str, right: str) -> None:
    assert with_articles(given) == right


def test_plurals_of_shipped_nouns_lead_back() -> None:
    odd = {noun for noun in group_of_noun() if singular(plural(noun)) != noun}
    assert all(plural(noun) in group_of_noun() for noun in odd)
    assert (singular("women"), singular("firemen"), singular("men")) == ("woman", "firemen", "man")
    assert singular("glasses") in group_of_noun()


def test_scores_are_those_of_explain_one_by_one(view: ModelView) -> None:
    result = whyclip.edits(view, image(), PROMPT, nouns=["cat"], others=["a house", PROMPT])
    score = float(whyclip.explain(view, image(), PROMPT).scores[0])
    assert result.score == pytest.approx(score, abs=1e-5)
    for row in result:
        alone = float(whyclip.explain(view, image(), row.prompt).scores[0])
        assert row.score == pytest.approx(alone, abs=1e-5)
        assert row.change == pytest.approx(alone - score, abs=1e-5)
    changes = [row.change for row in result]
    assert changes == sorted(changes, reverse=True)
    assert {row.kind for row in result} == {*KINDS, "own"}
    assert [row.prompt for row in result.of("own")] == ["a house"]
    assert len(result) == sum(len(result.of(kind)) for kind in (*KINDS, "own"))


def test_maps_on_request_are_those_of_explain(view: ModelView) -> None:
    result = whyclip.edits(view, image(), PROMPT, maps=2)
    assert result.explanation is not None
    largest = sorted(result, key=lambda row: -abs(row.change))[:2]
    prompts = [PROMPT, *(row.prompt for row in largest)]
    assert result.explanation == whyclip.explain(view, image(), prompts)
    assert whyclip.edits(view, image(), PROMPT).explanation is None


def test_files_and_tables_hold_every_edit(view: ModelView, tmp_path: Path) -> None:
    result = whyclip.edits(view, image(), PROMPT, maps=1)
    frame = result.to_dataframe()
    assert list(frame.prompt) == [row.prompt for row in result]
    with result.save(tmp_path / "x.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["change"]) for row in rows] == pytest.approx(list(frame.change))
    record = json.loads(result.save(tmp_path / "x.json").read_text())
    assert record["edits"][0]["prompt"] == result[0].prompt
    page = result.save(tmp_path / "x.html").read_text()
    assert "data:image/png" in page
    assert result[0].prompt in page
    assert "iframe" in result._repr_html_()
    short = result.table(6)
    assert len(short.rows) == 6
    assert short.rows[0]["prompt"] == result[0].prompt
    assert short.rows[-1]["prompt"] == result[len(result) - 1].prompt
    assert f"{len(result) - 6:,} edits in the middle" in short.note
    with pytest.raises(OutputError, match="end it in one of"):
        result.save(tmp_path / "x.txt")


def test_markup_in_a_prompt_stays_text(view: ModelView) -> None:
    page = whyclip.edits(view, image(), "<b>dog</b> & car", kinds="leave out")._html()
    assert "<b>dog" not in page
    assert "&lt;" in page


WRONG = {
    "no text": (lambda v: whyclip.edits(v, image(), ["a dog"]), PromptError),
    "empty": (lambda v: whyclip.edits(v, image(), " "), PromptError),
    "kind": (lambda v: whyclip.edits(v, image(), "a dog", kinds=["shuffle"]), OptionError),
    "kinds": (lambda v: whyclip.edits(v, image(), "a dog", kinds=None), OptionError),  # type: ignore[arg-type]
    "no kind": (lambda v: whyclip.edits(v, image(), "a dog", kinds=[]), OptionError),
    "of": (lambda v: whyclip.edits(v, image(), "a dog").of("x"), OptionError),  # type: ignore[arg-type]
    "nouns": (lambda v: whyclip.edits(v, image(), "a dog", nouns="cat"), OptionError),
    "colours": (lambda v: whyclip.edits(v, image(), "a dog", colours=[1]), OptionError),
    "maps": (lambda v: whyclip.edits(v, image(), "a dog", maps=-1), OptionError),
    "image": (lambda v: whyclip.edits(v, "no.png", "a dog"), ImageError),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name: str, view: ModelView) -> None:
    call, kind = WRONG[name]
    with pytest.raises(kind) as caught:
        call(view)
    assert "\n" not in str(caught.value)
