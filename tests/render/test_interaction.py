"""The interaction's figure and page: numbers, lines, and what readers do in a browser."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

import tiny
import whyclip
from whyclip.render import colour
from whyclip.render.interaction import interaction_figure, interaction_page

PROMPT = "two <b>dogs</b> & cars"


@pytest.fixture(scope="module")
def interaction() -> whyclip.Interaction:
    noise = np.random.default_rng(3).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    view = whyclip.wrap(*tiny.openclip_parts(seed=3))
    return whyclip.interaction(view, Image.fromarray(noise), PROMPT, against="a tree")


def test_the_figure_says_every_sum_and_draws_every_pair(interaction: whyclip.Interaction) -> None:
    drawn = interaction_figure(interaction, pairs=5)
    texts = [text.get_text() for text in drawn.texts]
    for word_sum in interaction.sums:
        for value in (word_sum.regions, word_sum.remainder, word_sum.total):
            assert f"{value:+.3f}" in texts
    for name, value in interaction.remainders.items():
        assert {name, f"{value:+.3f}"} <= set(texts)
    assert f"{interaction.score:+.3f}" in texts
    lines = [line for panel in drawn.axes for line in panel.get_lines()]
    inks = [to_hex(line.get_color()) for line in lines if len(line.get_xdata()) == 2]
    expected = [colour.FOR if pair.value > 0 else colour.AGAINST for pair in interaction.pairs(5)]
    assert [ink for ink in inks if ink != "#ffffff"] == [ink.lower() for ink in expected]
    assert not [
        line
        for panel in interaction_figure(interaction, pairs=0).axes
        for line in panel.get_lines()
    ]


def test_the_page_holds_the_numbers_and_escapes_the_prompt(
    interaction: whyclip.Interaction,
) -> None:
    page = interaction_page(interaction)
    assert "<b>dogs</b>" not in page
    match = re.search(r'id="interaction-data">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    data = json.loads(match[1])
    np.testing.assert_allclose(data["matrix"], interaction.matrix.flatten(1), atol=1e-6)
    assert data["words"] == [word.text for word in interaction.words]
    assert data["size"] == [64, 48]
    assert [pair[3] for pair in data["pairs"]] == pytest.approx(
        [pair.value for pair in interaction.pairs(8)], abs=1e-6
    )
    for word_sum in interaction.sums:
        assert f"<td>{word_sum.regions:+.4f}</td><td>{word_sum.remainder:+.4f}</td>" in page
    assert "rather than a tree" in page
    assert "https://" not in page
    assert page.count("http://") == page.count("http://www.w3.org/2000/svg")
    assert "srcdoc" in interaction._repr_html_()


@pytest.mark.browser
def test_readers_select_words_and_draw_boxes(
    interaction: whyclip.Interaction, probe: Callable[..., dict[str, Any]]
) -> None:
    answer = probe(
        interaction_page(interaction),
        """const section = $("#interaction"), svg = section.querySelector("svg");
        const lines = () => svg.querySelectorAll(".line").length;
        const before = lines();
        const buttons = [...section.querySelectorAll(".choice button")];
        buttons[1].click();
        const selected = lines(), patches = svg.querySelectorAll("g rect").length;
        const at = (x, y) => {
          const { x: clientX, y: clientY } =
            new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
          return { clientX, clientY, bubbles: true };
        };
        svg.dispatchEvent(new PointerEvent("pointerdown", at(32, 0)));
        svg.dispatchEvent(new PointerEvent("pointermove", at(70, 60)));
        svg.dispatchEvent(new PointerEvent("pointerup", at(70, 60)));
        return { before, selected, patches,
          words: buttons.map((button) => button.textContent),
          boxed: [...section.querySelectorAll("tbody .boxed")].map((cell) => cell.textContent),
          shown: section.classList.contains("has-box") };""",
    )
    assert answer["words"] == [word.text for word in interaction.words]
    assert answer["before"] == 2 * 8
    assert answer["selected"] == 2 * sum(
        pair.word == interaction.words[1] for pair in interaction.pairs(8)
    )
    assert answer["patches"] > 0
    assert answer["shown"]
    expected = [f"{word.relevance:+.4f}" for word in interaction.what((32, 0, 64, 48))]
    values = [float(text) for text in answer["boxed"][: len(expected)]]
    assert values == pytest.approx([float(text) for text in expected], abs=2e-4)


def test_words_above_the_image_do_not_touch(probe: Callable[..., dict[str, Any]]) -> None:
    view = whyclip.wrap(*tiny.openclip_parts(seed=3))
    wide = "a mammoth wwwwwww MMMM and ill dog"
    inter = whyclip.interaction(view, Image.new("RGB", (64, 48)), wide)
    answer = probe(
        interaction_page(inter),
        """const svg = document.querySelector("#interaction svg");
        const boxes = [...svg.querySelectorAll("text")].map((text) => text.getBBox());
        return {
          gaps: boxes.slice(1).map((box, i) => box.x - boxes[i].x - boxes[i].width),
          ends: [boxes[0].x, svg.viewBox.baseVal.width - boxes.at(-1).x - boxes.at(-1).width],
          height: boxes[0].height,
        };""",
    )
    assert min(answer["gaps"]) > 0.1 * answer["height"]
    assert min(answer["ends"]) > 0
