from html.parser import HTMLParser

import pytest

from whyclip.render.words import segments, strongest_words, words_html
from whyclip.types import Word


def test_segments_join_to_the_prompt_with_its_own_spacing():
    prompt = "  A  red\tcar —\n“very” fast  "
    words = [Word("red", 5, 8, 1.0), Word("car", 9, 12, -0.5)]
    pieces = segments(prompt, words)
    assert "".join(piece.text for piece in pieces) == prompt
    assert {p.text: p.strength for p in pieces if p.strength is not None} == {
        "red": 1.0,
        "car": -0.5,
    }


def test_the_span_counts_not_the_text_of_the_word():
    (_, piece) = segments("a Dog", [Word("dog</w>", 2, 5, 0.2)])
    assert piece.text == "Dog"


def test_only_the_words_of_the_asked_template_are_taken_and_scaled():
    words = [Word("cat", 2, 5, 0.5), Word("cat", 11, 14, 9.0, template=1)]
    pieces = segments(("a cat", "a photo of cat"), words, 0)
    assert [(p.text, p.strength) for p in pieces] == [("a ", None), ("cat", 1.0)]


@pytest.mark.parametrize("span", [(-2, 1), (1, 99), (3, 3), (4, 2)])
def test_a_span_outside_of_the_prompt_is_left_out_and_the_text_stays(span):
    pieces = segments("a cat", [Word("x", *span, 1.0), Word("cat", 2, 5, 1.0)])
    assert "".join(p.text for p in pieces) == "a cat"


def test_all_zero_words_have_no_strength():
    assert segments("cat", [Word("cat", 0, 3, 0.0)])[0].strength == 0.0


def test_words_of_several_prompts_compare_on_a_common_scale():
    words = [Word("cat", 2, 5, 0.1)]
    separate, shared = segments("a cat", words), segments("a cat", words, largest=0.4)
    assert (separate[1].strength, shared[1].strength) == (1.0, 0.25)
    assert "0.19" in words_html("a cat", words, largest=0.4)


def test_strongest_words_ranks_by_magnitude_and_leaves_out_zeros():
    words = [Word("a", 0, 1, 0.0), Word("b", 1, 2, 0.1), Word("c", 2, 3, -0.3)]
    assert [w.text for w in strongest_words(words)] == ["c", "b"]


class Reader(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text, self.styles = [], "", []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.styles.append(dict(attrs).get("style", ""))

    def handle_data(self, data):
        self.text += data


def test_html_keeps_the_text_exactly_and_nothing_in_it_becomes_markup():
    prompt = '<img src=x onerror="alert(1)"> & </mark><b>dog'
    start = prompt.index("<b>")
    reader = Reader()
    reader.feed(words_html(prompt, [Word("x", start, start + 6, 0.1), Word("i", 1, 4, -0.1)]))
    assert reader.text == prompt
    assert reader.tags == ["mark", "mark"]


def test_html_paints_for_orange_and_against_blue_and_underlined():
    reader = Reader()
    reader.feed(words_html("good bad", [Word("good", 0, 4, 1.0), Word("bad", 5, 8, -0.5)]))
    good, bad = reader.styles
    assert "rgba(212,79,15,0.75)" in good
    assert "underline" not in good
    assert "rgba(44,118,230,0.38)" in bad
    assert "underline" in bad
