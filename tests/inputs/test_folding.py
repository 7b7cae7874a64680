"""Scripts that change within a word, and characters that a tokenizer writes as several."""

from __future__ import annotations

import pytest

from whyclip.inputs import words_of
from whyclip.inputs.words import spans_of_parts


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # Katakana is written around hiragana without spaces, in full and in half width.
        ("のカメラ", ["の", "カメラ"]),
        ("カメラのテーブル", ["カメラ", "の", "テーブル"]),
        ("ｶﾒﾗの", ["ｶﾒﾗ", "の"]),
        ("犬カメラ", ["犬", "カメラ"]),
        ("カメラmini", ["カメラ", "mini"]),
    ],
)
def test_scripts_without_spaces_are_cut_where_the_script_changes(
    text: str, words: list[str]
) -> None:
    assert [word for word, _, _ in words_of(text)] == words


@pytest.mark.parametrize(
    ("text", "other", "parts", "spans"),
    [
        # One character of the tokenizer's text stands for two of the user's, and the reverse.
        ("a fine dog", "a ﬁne dog", [(2, 3), (3, 5), (6, 9)], [(2, 4), (4, 6), (7, 10)]),
        ("a ﬁne dog", "a fine dog", [(2, 3), (3, 4), (4, 6)], [(2, 3), (2, 3), (3, 5)]),
        ("two ½", "two 1⁄2", [(4, 7)], [(4, 5)]),
        ("ＤＯＧ run", "dog run", [(0, 3), (4, 7)], [(0, 3), (4, 7)]),
    ],
)
def test_pieces_lie_on_the_characters_that_they_were_made_of(
    text: str, other: str, parts: list[tuple[int, int]], spans: list[tuple[int, int]]
) -> None:
    assert spans_of_parts(text, other, parts) == spans
