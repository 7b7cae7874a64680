from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from whyclip.inputs import piece_spans, word_relevance, words_of
from whyclip.inputs.words import word_pieces

TEXTS = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from(" a b-c'd.,!?0123 \u00e9\u0301\u4e2d\u3042\u30ab\ud55c\U0001f415\u200d"),
    ),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a dog", ["a", "dog"]),
        ("a dog's t-shirt, red!", ["a", "dog's", "t-shirt", ",", "red", "!"]),
        ("the dogs\u2019 bowl", ["the", "dogs", "\u2019", "bowl"]),
        ("it\u2019s 3.5 or 1,000.", ["it\u2019s", "3.5", "or", "1,000", "."]),
        ("v1.b and a.b", ["v1", ".", "b", "and", "a", ".", "b"]),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("snake_case (x)", ["snake", "_", "case", "(", "x", ")"]),
        ("  two\n lines\t", ["two", "lines"]),
        ("na\u00efve cafe\u0301", ["na\u00efve", "cafe\u0301"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 \u0643\u0644\u0628", None),
        ("\u4e00\u53ea\u72d7", ["\u4e00", "\u53ea", "\u72d7"]),
        (
            "\u72ac\u304c\u8d70\u308b\u30c6\u30fc\u30d6\u30eb",
            ["\u72ac", "\u304c", "\u8d70", "\u308b", "\u30c6\u30fc\u30d6\u30eb"],
        ),
        ("\uac15\uc544\uc9c0 \ud55c", ["\uac15\uc544\uc9c0", "\ud55c"]),
        ("\U0001f415\U0001f408 ok", ["\U0001f415", "\U0001f408", "ok"]),
        (
            "\U0001f44d\U0001f3fd\U0001f1eb\U0001f1f7",
            ["\U0001f44d\U0001f3fd", "\U0001f1eb\U0001f1f7"],
        ),
        ("\U0001f469\u200d\U0001f680!", ["\U0001f469\u200d\U0001f680", "!"]),
        ("", []),
    ],
)  # fmt: skip
def test_words_are_what_a_reader_would_say(text, words):
    result = words_of(text)
    assert [w for w, _, _ in result] == (text.split() if words is None else words)


@given(TEXTS)
@example("a\u200db")
def test_words_lie_in_the_text_in_order_and_leave_only_space(text):
    covered = set()
    last = 0
    for word, start, end in words_of(text):
        assert text[start:end] == word
        assert last <= start < end <= len(text)
        last = end
        covered |= set(range(start, end))
    rest = "".join(c for i, c in enumerate(text) if i not in covered)
    assert not any(c.isalnum() for c in rest)


def cut_up(text, cuts):
    places = sorted({0, len(text), *(c % (len(text) + 1) for c in cuts)})
    return [text[a:b] for a, b in pairwise(places)], places


@given(TEXTS, st.lists(st.integers(0, 100), max_size=8))
def test_pieces_of_the_text_itself_are_found_where_they_were_cut(text, cuts):
    pieces, places = cut_up(text, cuts)
    for piece, span, start in zip(pieces, piece_spans(text, pieces), places, strict=False):
        if not piece.strip():
            assert span is None
        else:
            assert text[span[0] : span[1]] == piece.strip()
            assert span[0] == start + len(piece) - len(piece.lstrip())


@given(TEXTS, st.lists(st.integers(0, 100), max_size=8))
def test_spans_are_in_the_text_and_never_step_back(text, cuts):
    pieces, _ = cut_up(text.lower().replace(",", "").replace("  ", " "), cuts)
    starts = [0]
    for span in piece_spans(text, [*pieces, "\u2603zz"]):
        if span is not None:
            assert 0 <= span[0] < span[1] <= len(text)
            assert span[0] >= starts[-1]
            starts.append(span[0])


def places(text, pieces):
    return [text[s[0] : s[1]] if s else None for s in piece_spans(text, pieces)]


def test_cleaned_pieces_still_find_their_place():
    text = "A  Caf\u00e9, in the  B&amp;B: \ufb01ne"
    pieces = ["a", "cafe\u0301", "in", "the", "b", "&", "b", "fi", "ne"]
    assert places(text, pieces) == ["A", "Caf\u00e9", "in", "the", "B", "&", "B", "\ufb01", "ne"]


def test_an_unmatched_piece_does_not_derail_the_others():
    text = "a dog and a cat"
    assert places(text, ["a", "dog", "%%", "and", "a", "cat"]) == [
        "a", "dog", None, "and", "a", "cat",
    ]  # fmt: skip
    assert places(text, ["%%", "a", "dog"]) == [None, "a", "dog"]


@given(TEXTS, st.lists(st.integers(0, 100), max_size=8), st.randoms(use_true_random=False))
def test_the_sum_over_words_is_the_sum_over_matched_pieces(text, cuts, draw):
    pieces, _ = cut_up(text, cuts)
    spans, words = piece_spans(text, pieces), words_of(text)
    relevance = [draw.uniform(-1, 1) for _ in pieces]
    explained = word_relevance(words, spans, relevance)
    # A control character is a place in the text, but no word.
    on_a_word = [
        r
        for r, s in zip(relevance, spans, strict=True)
        if s and any(a < s[1] and s[0] < b for _, a, b in words)
    ]
    assert sum(w.relevance for w in explained) == pytest.approx(sum(on_a_word), abs=1e-9)
    assert [w.start for w in explained] == sorted(w.start for w in explained)
    for word in explained:
        assert text[word.start : word.end] == word.text


def test_pieces_add_up_within_their_word_and_share_out_between_words():
    text = "t-shirt?!"
    spans = [(0, 1), (1, 2), (2, 7), (7, 9)]
    words = word_relevance(words_of(text), spans, [1.0, -3.0, 0.5, 4.0], template=2)
    assert [(w.text, w.relevance, w.template) for w in words] == [
        ("t-shirt", -1.5, 2),
        ("?", 2.0, 2),
        ("!", 2.0, 2),
    ]


def test_a_word_without_a_piece_is_left_out():
    assert word_relevance(words_of("one two"), [(0, 3), None], [1.0, 5.0])[0].text == "one"
    assert len(word_relevance(words_of("one two"), [(0, 3), None], [1.0, 5.0])) == 1


def test_pieces_are_numbered_by_the_first_word_they_lie_on():
    words = words_of("Why?! now")
    assert [word for word, _, _ in words] == ["Why", "?", "!", "now"]
    spans = [(0, 2), (2, 3), (3, 5), None, (6, 9)]
    assert word_pieces(words, spans) == ((0, 1), (2,), (4,))
