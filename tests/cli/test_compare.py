"""``whyclip compare``: every method in one figure, and the equality of two of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import whyclip
from families import SMALL
from whyclip.cli import compare
from whyclip.cli.options import read_prompts
from whyclip.methods import METHODS

Run = Callable[..., Any]


@pytest.mark.parametrize(
    "names",
    [
        ("grad_eclip", "contribution", "raw_attention"),
        (),
        pytest.param(("all",), marks=pytest.mark.slow),
    ],
    ids=["three", "default", "all"],
)
def test_one_figure_with_a_column_for_each_method(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path, names: tuple[str, ...]
) -> None:
    narrow, wide = tmp_path / "one.png", tmp_path / "all.png"
    flags = [part for name in names for part in ("--method", name)]
    done = whyclip_command("compare", picture, "a dog", "--model", folder, *flags, "--out", wide)
    assert done.code == 0
    listed = [line.split()[0] for line in done.out.splitlines() if not line.startswith(" ")]
    slow = [name for name in METHODS if METHODS[name].slow]
    expected = [name for name in METHODS if name not in slow] if not names else list(names)
    assert listed[1:] == (list(METHODS) if names == ("all",) else expected)
    assert (f"{', '.join(slow)} are skipped" in done.err) == (not names)
    whyclip_command(
        "compare", picture, "a dog", "-m", folder, "--method", "contribution", "--out", narrow
    )
    with Image.open(wide) as all_of_them, Image.open(narrow) as one:
        assert all_of_them.width > one.width


def test_the_default_is_a_file_here(
    whyclip_command: Run,
    folder: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    whyclip_command("compare", picture, "a dog", "-m", folder, "--method", "raw_attention")
    assert [path.name for path in tmp_path.iterdir()] == ["compare.png"]


def test_grad_eclip_equals_attention_eclip(
    whyclip_command: Run,
    folder: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = whyclip_command(
        "compare", picture, "a dog", "a red car", "--model", folder, "--equality"
    )
    assert done.code == 0
    lines = done.out.splitlines()
    assert [line.split(",")[1].split(":")[0].strip() for line in lines] == ["image", "text"]
    assert all("equal within 1e-05" in line and "NOT" not in line for line in lines)
    assert not list(tmp_path.iterdir())


def test_inequality_is_said_and_ends_in_1(
    whyclip_command: Run, folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "EQUAL", ("grad_eclip", "contribution"))
    done = whyclip_command("compare", picture, "a dog", "--model", folder, "--equality")
    assert done.code == 1
    assert "NOT equal" in done.out


def test_relative_difference_is_that_of_the_worst_prompt(
    folder: Path, model: whyclip.ModelView, picture: Path
) -> None:
    one = whyclip.explain(model, picture, ["a dog", "a red car"], method="grad_eclip")
    assert one.maps is not None
    assert compare.relative_difference(one, one, "image") == 0
    peak = float(one.maps[1].max())
    maps = one.maps.clone()
    maps[1, 0, 0] += 0.25 * peak
    largest = float(maps[1].max())
    expected = 0.25 * peak / max(peak, largest)
    difference = compare.relative_difference(one, replace(one, maps=maps), "image")
    assert difference == pytest.approx(expected, rel=1e-4)
    words = tuple(
        tuple(replace(word, relevance=word.relevance + 0.5) for word in words)
        for words in one.words
    )
    assert compare.relative_difference(one, replace(one, words=words), "text") > 0.3


def test_a_method_whose_package_is_missing_is_left_out_with_a_note(
    whyclip_command: Run,
    folder: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = {name: METHODS[name] for name in ("grad_eclip", "raw_attention")}
    few["raw_attention"] = replace(few["raw_attention"], needs="no_such_package")
    monkeypatch.setattr("whyclip.selection.METHODS", few)
    done = whyclip_command(
        "compare", picture, "a dog", "--model", folder, "--out", tmp_path / "all.png"
    )
    assert done.code == 0
    assert "grad_eclip" in done.out
    assert "raw_attention" not in done.out
    assert "raw_attention is skipped" in done.err
    assert "'whyclip[no_such_package]'" in done.err


@pytest.mark.parametrize(
    ("family", "note"),
    [
        ("siglip", "decomposition (image side) is skipped: decomposition needs a readout token"),
        ("vit-average", "are skipped: no attention pooling in the image encoder: it averages"),
    ],
)
def test_a_model_that_some_methods_cannot_read_is_compared_by_the_others(
    whyclip_command: Run,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    note: str,
) -> None:
    view = whyclip.wrap(*SMALL[family]())
    monkeypatch.setattr(whyclip, "load", lambda *_: view)
    few = ("contribution", "decomposition", "grad_cam", "leave_one_out", "maskclip", "random")
    monkeypatch.setattr("whyclip.selection.METHODS", {name: METHODS[name] for name in few})
    figure = tmp_path / "figure.png"
    done = whyclip_command("compare", picture, "a dog", "--out", figure)
    assert done.code == 0, done.err
    assert note in done.err
    assert figure.exists()
    assert all(line.startswith(("note: ", "wrote ")) for line in done.err.splitlines())
    # Asked for by name, it is refused instead.
    done = whyclip_command(
        "compare", picture, "a dog", "--method", "decomposition", "--out", figure
    )
    assert done.code == 2


def test_prompts_from_a_file_are_more_rows(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    words = tmp_path / "words.txt"
    words.write_text("toy\n\nbrown toy\n", encoding="utf-8")
    short, tall = tmp_path / "one.png", tmp_path / "three.png"
    flags = ("-m", folder, "--method", "contribution")
    whyclip_command("compare", picture, "a dog", *flags, "--out", short)
    done = whyclip_command("compare", picture, "a dog", "--prompts", words, *flags, "--out", tall)
    assert done.code == 0, done.err
    with Image.open(short) as one, Image.open(tall) as three:
        assert three.height > 2 * one.height
    # Windows puts a byte-order mark first, which is no part of a word.
    words.write_bytes(b"\xef\xbb\xbftoy\r\n\r\nbrown toy\r\n")
    assert read_prompts(words) == ["toy", "brown toy"]
    for name, content in (("none.txt", None), ("empty.txt", b"\n"), ("raw.txt", b"\xff\xfe\xff")):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        bad = whyclip_command("compare", picture, "--prompts", tmp_path / name, *flags)
        assert bad.code == 2
        assert name in bad.err
        assert len(bad.err.strip().splitlines()) == 1


def test_a_page_has_a_tab_for_each_method(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "compare.html"
    options = ("a dog", "a red car", "-m", folder, "--methods", "contribution,grad_cam")
    done = whyclip_command("compare", picture, *options, "--out", out)
    assert done.code == 0, done.err
    html = out.read_text(encoding="utf-8")
    [data] = re.findall(r'(?s)<script[^>]*type="application/json"[^>]*>(.*?)</script>', html)
    entries = json.loads(data)["entries"]
    assert [entry["name"] for entry in entries] == ["contribution", "grad_cam"]
    expected = whyclip.compare(
        whyclip.load(str(folder)), [picture], ["a dog", "a red car"], ["contribution", "grad_cam"]
    )
    for entry in entries:
        [ex] = expected[entry["name"]]
        values = [prompt["map"]["values"] for prompt in entry["explanation"]["prompts"]]
        np.testing.assert_allclose(values, ex.maps.flatten(1), atol=1e-6)


def test_a_contrast_shows_both_scores_and_their_difference(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    options = ("-m", folder, "--methods", "contribution")
    out = tmp_path / "compare.svg"
    done = whyclip_command(
        "compare", picture, "a dog", "--against", "a cat", *options, "--out", out
    )
    assert done.code == 0, done.err
    view = whyclip.load(str(folder))
    score, other = whyclip.explain(view, picture, ["a dog", "a cat"]).scores.tolist()
    [ex] = whyclip.compare(view, [picture], "a dog", "contribution", against="a cat")[
        "contribution"
    ]
    texts = [text.get_text() for text in whyclip.comparison({"one": ex}).texts]
    assert f"{score:.3f} − {other:.3f} = {score - other:.3f}" in texts


def test_two_variants_of_one_method_have_a_column_each(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    single, out = "grad_eclip:heads=single", tmp_path / "why.png"
    flags = ("--model", folder, "--method", "grad_eclip", "--method", single)
    done = whyclip_command("compare", picture, "a dog", *flags, "--out", out)
    assert done.code == 0, done.err
    listed = [line.split()[0] for line in done.out.splitlines() if not line.startswith(" ")]
    assert listed[1:] == ["grad_eclip", single]
    with Image.open(out) as drawn:
        two = drawn.size
    whyclip_command("compare", picture, "a dog", *flags[:4], "--out", out)
    with Image.open(out) as drawn:
        # Wider by a column, and higher by the line that has the options.
        assert two[0] > drawn.width
        assert two[1] > drawn.height
    done = whyclip_command("explain", picture, "a dog", "-m", folder, *flags[4:], "--json")
    assert json.loads(done.out)["options"]["heads"] == "single"
