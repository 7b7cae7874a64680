"""What a notebook shows of results, and figures as they are saved from one."""

from __future__ import annotations

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import tiny
import whyclip
from audit_toy import Toy
from whyclip.render.show import figure_bytes
from whyclip.studies.audit import audit
from whyclip.studies.evaluation import evaluate


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def image(seed: int = 0) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def framed(shown: str) -> str:
    """The page inside of a frame."""
    [inside] = re.findall(r'<iframe srcdoc="([^"]*)"', shown)
    return unescape(inside)


def entries(shown: str) -> list[dict[str, Any]]:
    [data] = re.findall(
        r'(?s)<script[^>]*type="application/json"[^>]*>(.*?)</script>', framed(shown)
    )
    return json.loads(data)["entries"]


def test_a_comparison_is_a_dictionary_that_shows_itself(view: whyclip.ModelView) -> None:
    methods = ["contribution", "grad_cam"]
    comparison = whyclip.compare(view, [image(0), image(1)], "a dog", methods)
    assert isinstance(comparison, dict)
    assert list(comparison) == methods
    assert comparison == dict(comparison)
    assert repr(comparison) == "Comparison(contribution, grad_cam; 2 images)"
    shown = [
        (entry["explanation"]["method"], entry["explanation"]["prompts"][0]["score"])
        for entry in entries(comparison._repr_html_())
    ]
    expected = [(name, float(comparison[name][i].scores[0])) for i in range(2) for name in methods]
    assert shown == expected


def test_a_large_comparison_is_cut_and_says_so(view: whyclip.ModelView) -> None:
    [one] = whyclip.compare(view, [image()], "a dog", "contribution")["contribution"]
    from whyclip.comparing import SHOWN, Comparison

    shown = Comparison(contribution=[one] * (SHOWN + 3))._repr_html_()
    assert len(entries(shown)) == SHOWN
    assert shown.endswith("<p>3 more explanations are not shown.</p>")
    assert "no explanation" in Comparison()._repr_html_()


def test_an_evaluation_and_an_audit_show_their_reports(
    view: whyclip.ModelView, tmp_path: Path
) -> None:
    evaluated = evaluate(view, Toy(3), ["contribution"], ["iou"], sides=["image"])
    audited = audit(view, Toy(3), ["contribution"], ["score_gap"], limit=3)
    for result in (evaluated, audited):
        page = result.save(tmp_path / type(result).__name__).read_text(encoding="utf-8")
        assert without_pictures(framed(result._repr_html_())) == without_pictures(page)
        assert len(page) > 3000


def without_pictures(page: str) -> str:
    return re.sub(r"data:image/[^\"]*|\d+(\.\d+)? s(econds)?\b", "", page)


@pytest.mark.parametrize("kind", ["pdf", "eps"])
def test_figures_saved_by_hand_embed_truetype_fonts(
    view: whyclip.ModelView, tmp_path: Path, kind: str
) -> None:
    ex = whyclip.explain(view, image(), ["a dog", "a red car"])
    figures = {"one": whyclip.figure(ex), "many": whyclip.comparison({"a": ex, "b": ex})}
    for name, figure in figures.items():
        path = tmp_path / f"{name}.{kind}"
        figure.savefig(path)
        content = path.read_bytes()
        if kind == "pdf":
            assert b"/FontFile2" in content
            assert b"/Type3" not in content
        else:
            assert b"/FontType 42" in content
            assert b"/FontType 3" not in content
    assert matplotlib.rcParams["pdf.fonttype"] == matplotlib.rcParamsDefault["pdf.fonttype"]


def test_figures_saved_in_threads_leave_matplotlibs_settings_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slowly(*_: object, **__: object) -> None:
        time.sleep(0.02)

    monkeypatch.setattr(Figure, "savefig", slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: figure_bytes(Figure(), "pdf"), range(8)))
    for name in ("pdf.fonttype", "savefig.bbox", "savefig.dpi", "svg.hashsalt"):
        assert matplotlib.rcParams[name] == matplotlib.rcParamsDefault[name]


def test_prompts_are_iterated_and_picked(view: whyclip.ModelView) -> None:
    prompts = ["a dog", "a red car", "a tree"]
    ex = whyclip.explain(view, image(), prompts)
    each = list(ex)
    assert [one.prompts for one in each] == [(prompt,) for prompt in prompts]
    assert each[1] == ex[1] == ex[-2]
    assert ex[1:].prompts == ("a red car", "a tree")
    for index, one in enumerate(each):
        assert one.maps.equal(ex.maps[index : index + 1])
        assert one.words == ex.words[index : index + 1]
