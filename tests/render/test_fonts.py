"""Prompts in scripts that the figures' own font lacks."""

from __future__ import annotations

import warnings
from types import SimpleNamespace

import pytest

from whyclip.errors import WhyclipWarning
from whyclip.render import figure, figure_bytes, fonts
from whyclip.render.typeset import text_width

LACKING = "\U00010c00"  # old Turkic, which no common font has
CACHES = (fonts._family, fonts._installed, fonts._charmap)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    for cached in CACHES:
        cached.cache_clear()
    monkeypatch.setattr(fonts, "_warned", set())
    yield
    for cached in CACHES:
        cached.cache_clear()


def installed(monkeypatch, *known):
    """Pretend that these fonts are installed: names with the characters they can draw."""
    entries = [SimpleNamespace(name=name, fname=name) for name, *_ in known]
    listed = {name: frozenset(map(ord, characters)) for name, characters, _ in known}
    drawn = {name: can for name, _, can in known}
    monkeypatch.setattr(fonts, "_installed", lambda: entries)
    monkeypatch.setattr(fonts, "_charmap", listed.__getitem__)
    monkeypatch.setattr(fonts, "_draws", lambda path, character: drawn[path])


def test_a_line_of_the_own_font_needs_no_other(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: pytest.fail("no font is looked for"))
    assert fonts.font("Ein Hund, собака, σκύλος", 10, "normal").get_family() == ["DejaVu Sans"]


def test_each_missing_character_brings_the_first_font_that_draws_it(monkeypatch):
    coloured = ("Bitmaps", "狗ક", False)
    installed(monkeypatch, coloured, ("Han", "狗", True), ("Both", "狗ક", True))
    assert fonts.font("狗 dog ક", 10, "bold").get_family() == ["DejaVu Sans", "Han", "Both"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fonts.warn_of_boxes("狗 dog ક\n")


def test_what_no_font_draws_is_warned_of_once_and_in_one_short_line(monkeypatch, make):
    installed(monkeypatch, ("Han", "狗", True))
    prompts = (f"a dog {LACKING}{LACKING}", "x" + "કખગઘચ")
    with pytest.warns(WhyclipWarning) as caught:
        figure(make(prompts))
    messages = [str(one.message) for one in caught if one.category is WhyclipWarning]
    assert len(messages) == len({repr(m) for m in messages}) >= 2
    assert repr(LACKING) in messages[0]
    assert all(len(message) < 160 and "\n" not in message for message in messages)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure_bytes(figure(make(prompts)))  # once, and nothing from matplotlib


def test_no_font_for_formulas_or_boxes_stands_in():
    names = [entry.name for entry in fonts._installed()]
    assert "DejaVu Sans Mono" in names
    assert not [name for name in names if name.startswith(("cm", "STIX", "Last Resort"))]
    assert fonts._family("⅔") is None or fonts._family("⅔") in names
    assert fonts._family(LACKING) is None or fonts._family(LACKING) in names


def test_measuring_what_no_font_draws_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text_width(LACKING + "x", 11.25) > 0
