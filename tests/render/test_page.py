"""The page as a file: self-contained, harmless, and holding what the explanation holds."""

import json
import re
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from whyclip.errors import InputError
from whyclip.render import fragment, page
from whyclip.storage import to_json
from whyclip.types import Box

ATTACKS = (
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>",
    "\u2028</noscript><b onclick='x'>&lt;",
    "]]> \" ' ` ${alert(1)} $data",
    "\ud83d",  # half of an emoji
)


class Reader(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.links, self.handlers, self.data = [], [], [], ""
        self.inside = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        attributes = dict(attrs)
        self.inside = attributes.get("id") if tag == "script" else None
        self.links += [v for k, v in attrs if k in ("src", "href", "action", "srcset")]
        self.handlers += [k for k, _ in attrs if k.startswith("on")]

    def handle_data(self, data):
        if self.inside == "explanations":
            self.data += data


def embedded(html):
    return json.loads(Reader(html).data)


def test_the_page_holds_the_explanation_unchanged(make):
    explanation = make(box=Box(40, 0, 280, 240), changes=("one head",))
    (entry,) = embedded(page([explanation]))["entries"]
    assert entry["explanation"] == json.loads(json.dumps(to_json(explanation)))


def test_nothing_is_loaded_from_anywhere(make):
    html = page([make()])
    reader = Reader(html)
    assert all(link.startswith("data:") for link in reader.links)
    assert not re.search(r"https?://|@import|url\(", html)
    assert "default-src 'none'" in html


@pytest.mark.parametrize("where", ["prompt", "model", "method", "change", "option"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_no_text_of_the_user_becomes_markup(make, where, attack):
    plain = Reader(page([make(("a dog",), changes=("one head",))]))
    fields = {
        "prompt": {"prompts": (attack,), "changes": ("one head",)},
        "model": {"prompts": ("a dog",), "changes": ("one head",), "model": attack},
        "method": {"prompts": ("a dog",), "changes": ("one head",), "method": attack},
        "change": {"prompts": ("a dog",), "changes": (attack,)},
        "option": {"prompts": ("a dog",), "changes": ("one head",), "options": {attack: attack}},
    }[where]
    html = page([make(**fields)])
    html.encode("utf-8")
    reader = Reader(html)
    tags = [tag for tag in reader.tags if tag != "mark"]
    assert tags == [tag for tag in plain.tags if tag != "mark"]
    assert reader.handlers == []
    (entry,) = json.loads(reader.data)["entries"]
    assert attack in json.dumps(entry["explanation"], ensure_ascii=False)[:-1] or json.dumps(
        attack
    )[1:-1] in json.dumps(entry["explanation"])


def test_the_same_picture_is_embedded_once(make):
    first = make(method="one")
    second = make(method="two", image=first.image)
    other = make(method="three", size=(64, 64))
    data = embedded(page([first, second, other, make(method="four", with_image=False)]))
    assert [entry["picture"] for entry in data["entries"]] == [0, 0, 1, None]
    assert len(data["pictures"]) == 2


def test_large_pictures_are_reduced(make):
    small, large = page([make(size=(700, 500))]), page([make(size=(7000, 5000))])
    assert len(large) < 6 * len(small)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([{"method": "a"}, {"method": "b"}], ["a", "b"]),
        ([{"model": "m"}, {"model": "n"}], ["m", "n"]),
        ([{"options": {"heads": 1}}, {"options": {"heads": 2}}], ["heads=1", "heads=2"]),
        ([{"method": "a"}, {"method": "a"}], ["1. a", "2. a"]),
        (
            [{"method": "a", "model": "m"}, {"method": "a", "model": "n"}, {"method": "b"}],
            ["a, m", "a, n", "b, openclip:ViT-B-16/openai"],
        ),
    ],
)
def test_tabs_are_named_by_what_differs(make, fields, names):
    explanations = [make(**{"options": {}, **some}) for some in fields]
    assert [entry["name"] for entry in embedded(page(explanations))["entries"]] == names


def test_a_reader_without_script_gets_words_scores_and_certificate(make):
    html = page([make(changes=("one head",))])
    static = html[html.index("<noscript>") : html.index("</noscript>")]
    assert "0.310" in static
    assert "explains a modified computation; score check failed" in static
    assert "modified computation: one head" in static
    assert static.count("<mark") == 12
    against = page([make(("a dog",), against=("a cat",), changes=("one head",))])
    static = against[against.index("<noscript>") : against.index("</noscript>")]
    sentence = "grad_eclip:heads=single, openclip:ViT-B-16/openai, rather than a cat: explains a"
    assert sentence in static


def test_a_fragment_is_one_frame_that_holds_the_page(make):
    explanation = make((ATTACKS[0], "quotes \" and ' and &amp;"))
    html = fragment(explanation)
    reader = Reader(html)
    assert reader.tags == ["iframe"]
    inside = unescape(re.search(r'srcdoc="([^"]*)"', html).group(1))
    assert inside == page([explanation])


def test_no_explanations_are_refused():
    with pytest.raises(InputError, match="at least one"):
        page([])


def test_the_viewer_stays_small():
    viewer = files("whyclip.render") / "viewer"
    assert sum(len(file.read_bytes()) for file in viewer.iterdir()) < 49_000
