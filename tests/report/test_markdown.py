"""Reports' Markdown: what has a meaning, and what of user input never has one."""

from __future__ import annotations

import pytest

from whyclip.report.markdown import inline, prose


def test_headings_lists_code_and_emphasis_have_a_meaning() -> None:
    html = prose(
        "## Why\n\nBecause *one* and **two**:\n\n- a\n- b\n\nRun\n\n    whyclip explain <x>\n"
    )
    for part in (
        "<h2>Why</h2>",
        "<em>one</em>",
        "<strong>two</strong>",
        "<li>a</li>",
        "whyclip explain &lt;x&gt;",
    ):
        assert part in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "![x](http://example.org/x.png)",
        "[x](javascript:alert(1))",
        "<http://example.org>",
        "a & b &lt; c",
        "[0.1, 0.2] and [1]: 3",
        r"C:\images\*.png",
        "grad_eclip_of_layer",
        "<b>bold</b>",
    ],
)
def test_quoted_input_is_shown_as_it_is(text: str) -> None:
    shown = inline(text)
    assert "<" not in shown.replace("<em>", "").replace("</em>", "")
    assert shown.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace(
        "&amp;", "&"
    ) == text  # fmt: skip
