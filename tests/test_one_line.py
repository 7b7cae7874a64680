"""Every public entry x nasty inputs: a result, or an error in one short line without controls."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import families
import tiny
import whyclip
from whyclip import errors
from whyclip.datasets import open_dataset
from whyclip.errors import (
    QUOTED,
    OptionError,
    OutputError,
    PromptError,
    WhyclipError,
    WhyclipWarning,
    quoted,
    reason,
    unknown,
)
from whyclip.studies.audit import audit
from whyclip.studies.evaluation import evaluate

LONGEST = 600
VIEW = whyclip.wrap(*tiny.openclip_parts())
IMAGE = families.picture()


class Odd:
    """Its own words cannot be had."""

    def __repr__(self) -> str:
        raise RuntimeError("a\nb")

    __str__ = __repr__


class Talkative:
    def __repr__(self) -> str:
        return "line\n" * 1000 + "\x1b[31m\r\x00\u202e"


NASTY: dict[str, Any] = {
    "controls": "a\nb\r\n\x1b[31m\x00\u202e\x85\u2028c",
    "long": "x" * 100_000,
    "long with controls": "\n" * 3000,
    "surrogate": "\ud83d",
    "path with controls": Path("no\nsuch\x1b[31m.png"),
    "long path": Path("x" * 5000),
    "bytes": b"\n" * 500,
    "number": 3,
    "huge number": 10**5000 if hasattr(int, "bit_count") else 10**300,
    "nothing": None,
    "list": ["\n" * 300] * 300,
    "nested": [[[["a"]]]],
    "mapping": {"\n": "\x1b"},
    "odd": Odd(),
    "talkative": Talkative(),
    "array": np.arange(100_000),
    "tensor": torch.zeros(3, 1000, 1000).to_sparse(),
    "function": lambda: None,
    "class": Odd,
    "empty": "",
    "space": " \t\n",
}

ENTRIES: dict[str, Callable[[Any], object]] = {
    "load openclip": lambda x: whyclip.load(f"openclip:{quoted(x)}"),
    "load hf": lambda x: whyclip.load(f"hf:./{quoted(x)}"),
    "explain image": lambda x: whyclip.explain(VIEW, x, "a dog", method="maskclip"),
    "explain images": lambda x: whyclip.explain(VIEW, [IMAGE, x], "a dog", method="maskclip"),
    "explain prompt": lambda x: whyclip.explain(VIEW, IMAGE, x, method="contribution"),
    "explain prompts": lambda x: whyclip.explain(VIEW, IMAGE, ["a", x], method="contribution"),
    "explain against": lambda x: whyclip.explain(
        VIEW, IMAGE, "a", against=x, method="contribution"
    ),
    "explain method": lambda x: whyclip.explain(VIEW, IMAGE, "a", method=x),
    "explain sides": lambda x: whyclip.explain(VIEW, IMAGE, "a", sides=x),
    "explain geometry": lambda x: whyclip.explain(VIEW, IMAGE, "a", geometry=x),
    "explain precision": lambda x: whyclip.explain(VIEW, IMAGE, "a", precision=x),
    "explain model": lambda x: whyclip.explain(x, IMAGE, "a"),
    "explain option": lambda x: whyclip.explain(VIEW, IMAGE, "a", heads=x),
    "compare methods": lambda x: whyclip.compare(VIEW, [IMAGE], "a", [] if x is None else x),
    "compare images": lambda x: whyclip.compare(VIEW, x, "a", ["maskclip"]),
    "interaction prompt": lambda x: whyclip.interaction(VIEW, IMAGE, x),
    "interaction image": lambda x: whyclip.interaction(VIEW, x, "a dog"),
    "reference images": lambda x: whyclip.reference(VIEW, x, ["a dog"]),
    "reference prompts": lambda x: whyclip.reference(VIEW, None, x),
    "reference template": lambda x: whyclip.reference(VIEW, None, ["a"], template=x),
    "explain reference": lambda x: whyclip.explain(
        VIEW, IMAGE, "a", method="maskclip", reference=x
    ),
    "edits prompt": lambda x: whyclip.edits(VIEW, IMAGE, x, nouns=["cat"]),
    "edits nouns": lambda x: whyclip.edits(VIEW, IMAGE, "a dog", kinds=["swap"], nouns=x),
    "concepts source": lambda x: whyclip.concepts(VIEW, x, ["a dog", "a cat"]),
    "concepts vocabulary": lambda x: whyclip.concepts(VIEW, "a dog", x),
    "load_reference": whyclip.load_reference,
    "load_explanation": whyclip.load_explanation,
    "save": lambda x: whyclip.explain(VIEW, IMAGE, "a", method="maskclip").save(x),
}


def check_message(message: str) -> None:
    assert message
    assert message.isprintable()
    assert len(message) <= LONGEST


@pytest.mark.parametrize("name", NASTY)
@pytest.mark.parametrize("entry", ENTRIES)
def test_an_error_is_one_short_line(
    entry: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            ENTRIES[entry](NASTY[name])
        except WhyclipError as error:
            check_message(str(error))
    for warning in caught:
        if issubclass(warning.category, WhyclipWarning):
            check_message(str(warning.message))


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=300))
def test_a_quotation_is_short_and_printable(text: str) -> None:
    quotation = quoted(text)
    assert len(quotation) <= QUOTED
    assert quotation.isprintable()
    assert quotation[0] == quotation[-1]
    assert quotation == repr(text) or quotation.endswith(("...'", '..."')) or not text.isprintable()


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=2000))
def test_every_error_normalises_its_message(text: str) -> None:
    kinds = [getattr(errors, name) for name in dir(errors) if name.endswith("Error")]
    for kind in kinds:
        if issubclass(kind, WhyclipError):
            message = str(kind(text))
            assert message.isprintable()
            assert len(message) <= LONGEST
    for message in (str(unknown("kind", text, ["a", "b"])), reason(ValueError(text))):
        check_message(message)


def test_fewer_names_are_listed_behind_a_long_one() -> None:
    names = [f"a_name_of_some_length_{index}" for index in range(19)]
    for wrong in ("x" * 500, "x", 3, ["\n" * 500]):
        assert len(str(unknown("method", wrong, names))) <= 200
    assert "a_name_of_some_length_13" not in str(unknown("method", "x" * 500, names))
    assert str(unknown("check", "x", ["b", "a"])) == "unknown check 'x'; known: a, b"


def test_printable_messages_stay_as_they_are() -> None:
    for text in ("plain", "with 'quotes' and ünïcode 狗 🐕", "x" * LONGEST):
        assert str(PromptError(text)) == text
        assert quoted(text) == repr(text) or len(text) > QUOTED


def test_lists_of_names_are_short_and_near_names_are_named() -> None:
    names = [f"name{i}" for i in range(100)]
    message = str(unknown("kind", 5, names))
    assert message.startswith("unknown kind 5; known: name0, name1, ")
    assert message.endswith(" and 92 more")
    assert "did you mean" in str(unknown("kind", "nam50", names))


def test_an_error_survives_pickling_and_keeps_its_kind() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(OptionError("a\nb")))
    assert type(error) is OptionError
    assert str(error) == "a b"


SURROGATES = ["a \ud83d dog", "x\udcffy \x00\x1b[31m", ["a \ud83d", "b"]]


@pytest.mark.parametrize("ending", ["html", "png", "json", "npz", "safetensors"])
def test_half_a_surrogate_pair_is_saved(ending: str, tmp_path: Path) -> None:
    view = whyclip.wrap(*tiny.openclip_parts(), name="m\udc80")
    explanation = whyclip.explain(view, IMAGE, SURROGATES, against="c\ud83d", method="contribution")
    path = explanation.save(tmp_path / f"x.{ending}")
    if ending in ("html", "png"):
        assert path.stat().st_size > 1000
        return
    again = whyclip.load_explanation(path)
    assert (again.prompts, again.against, again.model) == (
        explanation.prompts,
        explanation.against,
        explanation.model,
    )
    assert again.words == explanation.words


def test_half_a_surrogate_pair_fits_a_table() -> None:
    explanation = whyclip.explain(VIEW, IMAGE, SURROGATES, method="contribution")
    table = explanation.to_dataframe()
    assert "a \\ud83d dog" in set(table["prompt"])


@pytest.mark.parametrize("name", ["\ud83d.json", "a\0.json", "x" * 300 + ".json"])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    explanation = whyclip.explain(VIEW, IMAGE, "a", method="maskclip")
    with pytest.raises(OutputError):
        explanation.save(tmp_path / name)
    with pytest.raises(OutputError):
        whyclip.load_explanation(str(tmp_path / name))


@pytest.mark.parametrize("name", ["controls", "long", "number", "list", "odd", "talkative"])
def test_measuring_names_what_is_wrong_in_one_line(name: str) -> None:
    data = open_dataset("scenes", limit=1)
    value = NASTY[name]
    calls: tuple[Callable[[], object], ...] = (
        lambda: evaluate(VIEW, data, [value], ["energy_pointing"]),
        lambda: evaluate(VIEW, data, ["maskclip"], [value]),
        lambda: audit(VIEW, data, [value]),
        lambda: audit(VIEW, data, ["maskclip"], [value]),
        lambda: open_dataset(str(quoted(value))),
    )
    for call in calls:
        with pytest.raises(WhyclipError) as caught:
            call()
        check_message(str(caught.value))
