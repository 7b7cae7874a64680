"""Whether a score is a match, in the terminal, on the page and in a notebook."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html import unescape

import pytest
from rich.console import Console

from whyclip.match import Match, Standing, Threshold
from whyclip.render import page, summary
from whyclip.render.reading import match_lines

MATCH = Match(
    score=0.31,
    among_prompts=Standing(99.2, 3.4, 1300, 0.1, 0.06),
    among_images=Standing(60.0, -0.5, 500, 0.3, 0.02),
    competitors=(("a ball", 0.33), ("the sun", 0.29)),
    nonsense=("blorf", 0.12),
    threshold=Threshold(0.325, 0.0499, 0.03, 0.07, 0.95, 500, 0.71),
    prompt_kind="everyday words",
    probability=0.66,
)
STRONG = replace(MATCH, among_images=Standing(99.0, 2.5, 500, 0.2, 0.02))


def printed(explanation) -> str:
    file = io.StringIO()
    Console(file=file, width=400).print(summary(explanation))
    return file.getvalue()


def test_the_terminal_shows_sentence_scores_and_competitors(make) -> None:
    text = printed(make(matches=(MATCH, STRONG)))
    assert f"a red disc in the sky: {MATCH.sentence}" in text
    assert f"a blue square on the grass: {STRONG.sentence}" in text
    assert "z +3.4 among this image's prompts, z -0.5 among images" in text
    assert "competing prompts: a ball 0.330, the sun 0.290" in text
    assert "probability of a match 0.66" in text
    assert "score 0.310 is not above 0.325, which 5.0 % of images" in text
    assert "evidence" not in printed(make())


def test_lines_without_numbers_are_left_out() -> None:
    bare = Match(0.3, Standing(50.0, None, 1, 0.3, 0.0), None)
    assert match_lines(bare) == []


def test_the_page_holds_the_match_for_the_script_and_for_readers_without_one(make) -> None:
    html = page([make(matches=(MATCH, STRONG))])
    assert f"({MATCH.sentence})" in unescape(html.split("<noscript>")[1].split("</noscript>")[0])
    [data] = re.findall(r'(?s)<script type="application/json"[^>]*>(.*?)</script>', html)
    prompts = json.loads(data)["entries"][0]["explanation"]["prompts"]
    assert [prompt["match"]["evidence"] for prompt in prompts] == ["weak", "strong"]
    assert "matchCard" in html


@pytest.mark.browser
def test_the_page_shows_the_match_of_the_chosen_prompt(make, probe) -> None:
    answer = probe(
        page([make(matches=(MATCH, STRONG))]),
        """const texts = () => all(".evidence").map((e) => e.className + ": " + e.textContent);
        const first = texts();
        const rows = all(".rivals .word").map((e) => e.textContent);
        const facts = all("dd").map((e) => e.textContent);
        all("input[type=radio]")[1].click();
        return { first, second: texts(), rows, facts };""",
    )
    assert answer["first"] == [f"evidence weak: {MATCH.sentence}"]
    assert answer["second"] == [f"evidence strong: {STRONG.sentence}"]
    assert answer["rows"] == ["a ball", "this prompt", "the sun", "nonsense: blorf"]
    assert {"99.2 %", "60.0 %", "0.66", "0.325"} <= set(answer["facts"])
    plain = probe(page([make()]), "return { cards: all('.evidence').length };")
    assert plain["cards"] == 0
