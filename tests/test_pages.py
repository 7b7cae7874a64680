"""Every code block of README and docs runs as written, page by page, in an empty folder.

The blocks of a page run in their order, with what its reader has: the repository's examples, own
images and tables, a model. Sizes are limited by what they find (few samples of each dataset), never
by another command. ``page_lists.py`` has what runs later, or nowhere, and why.
"""

from __future__ import annotations

import copy
import re
import shutil
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import pytest
import torch
from PIL import Image

import whyclip
from page_lists import GIVEN, LATER, LATER_PYTHON, MODELS, NOT_HERE, NOT_HERE_PYTHON
from pages import PAGES, ROOT, SHELLS, blocks, commands, execute, run
from whyclip.cli import main
from whyclip.datasets import load as datasets_load
from whyclip.datasets.dataset import Subset
from whyclip.web import serve
from whyclip.web.serve import Server

# Samples of each dataset: what a reference needs for its thresholds, and few for the long studies.
QUICK_SAMPLES, SLOW_SAMPLES = 30, 3
FOLDERS = ("path/to/folder", "runs/mini/weights")
MINI = ROOT / "src" / "whyclip" / "mini" / "weights"
LOAD = whyclip.load
Items = list[tuple[str, str]]


def items(path: Path) -> Items:
    """The commands and blocks of Python of a page, in their order."""
    pairs = []
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.language in SHELLS:
            pairs += [("sh", command) for command in commands(block)]
        elif block.language == "python":
            pairs.append(("python", block.code))
    return pairs


def listed(kind: str, code: str, commands: dict[str, str], python: dict[str, str]) -> list[str]:
    """The entries that a command begins with, or that a block of Python contains."""
    if kind == "python":
        return [entry for entry in python if entry in code]
    # The installation before a command is not the command.
    code = code.removeprefix("pip install . && ")
    return [entry for entry in commands if code.startswith(entry)]


def not_here(kind: str, code: str) -> bool:
    return bool(listed(kind, code, NOT_HERE, NOT_HERE_PYTHON))


def is_later(kind: str, code: str) -> bool:
    return bool(listed(kind, code, LATER, LATER_PYTHON))


EVERY = {path: items(path) for path in PAGES}


def runnable(path: Path, *, later: bool) -> Items:
    return [
        (kind, code)
        for kind, code in EVERY[path]
        if not not_here(kind, code) and (later or not is_later(kind, code))
    ]


def has_later(path: Path) -> bool:
    return runnable(path, later=True) != runnable(path, later=False)


@pytest.fixture(scope="module")
def mini() -> whyclip.ModelView:
    return LOAD("mini", "cpu")


@pytest.fixture
def reader(
    tmp_path: Path, mini: whyclip.ModelView, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Path, int], None]:
    """Go to a folder with what the reader of a page has."""
    dog, house = (
        Image.open(ROOT / "examples" / f"{name}.png").convert("RGB").resize((240, 200))
        for name in ("dog_and_red_car", "green_and_blue_house")
    )

    mask = Image.new("L", dog.size)
    mask.paste(255, (20, 80, 120, 180))

    def image(name: str, drawn: Image.Image = dog) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        drawn.save(tmp_path / name)

    for name in ("photo.jpg", "image.png", "a.jpg", "other.png", "photos/1.jpg"):
        image(name)
    for name in ("b.jpg", "photos/2.jpg"):
        image(name, house)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    records = tmp_path / "benchmarks" / "finetuning.npz"
    records.parent.mkdir()
    records.symlink_to(ROOT / "benchmarks" / "finetuning.npz")
    (tmp_path / "prompts.txt").write_text("a dog\na red car\n", encoding="utf-8")
    table = "image,label,caption\nphotos/1.jpg,dog,a dog\nphotos/2.jpg,house,a green house\n"
    (tmp_path / "photos.csv").write_text(table, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")

    def load(spec: str, device: object = None) -> whyclip.ModelView:
        known = spec == "mini" or spec in MODELS
        return copy.deepcopy(mini) if known else LOAD(spec, "cpu")

    monkeypatch.setattr(whyclip, "load", load)
    # A --limit draws from few samples already.
    monkeypatch.setattr(datasets_load, "Subset", lambda dataset, limit, seed: dataset)
    monkeypatch.setattr(webbrowser, "open", lambda address: None)
    monkeypatch.setattr(Server, "startup", _start_and_stop)
    monkeypatch.setattr(serve, "listen", lambda host, port, listen=serve.listen: listen(host, 0))

    known = dict(datasets_load.dataset_kinds())

    def begin(path: Path, samples: int) -> None:
        kinds = {name: replace(kind, open=_few(kind.open, samples)) for name, kind in known.items()}
        monkeypatch.setattr(datasets_load, "dataset_kinds", lambda: kinds)
        text = path.read_text(encoding="utf-8")
        for name in FOLDERS:
            # A copy, because a command might write into it.
            if name in text:
                shutil.copytree(MINI, tmp_path / name)
        for name, rows in shown_tables(text):
            (tmp_path / name).write_text(rows, encoding="utf-8")
            # An image of the reader for every name in the table.
            for row in re.findall(r"[\w/]+\.(?:jpg|png)", rows):
                if not (tmp_path / row).exists():
                    image(row, mask if "masks" in row else dog)

    return begin


def _few(opened: Callable[..., Any], samples: int) -> Callable[..., Any]:
    return lambda rest, **options: Subset(opened(rest, **options), samples)


async def _start_and_stop(server: Server, sockets: Any = None) -> None:
    await super(Server, server).startup(sockets)
    assert server.started
    assert server.ready is not None
    server.ready()
    server.should_exit = True


def shown_tables(text: str) -> list[tuple[str, str]]:
    """Tables that a page shows, each under the last name of a CSV file before it."""
    tables = []
    for match in re.finditer(r"(?s)```text\n(image,.*?)```", text):
        name = re.findall(r"`(\w+\.csv)`", text[: match.start()] + text[match.end() :])
        tables.append((name[0], match[1]))
    return tables


def given(names: tuple[str, ...], view: whyclip.ModelView) -> dict[str, Any]:
    """What a page takes as given, because another page shows how to get it."""
    image = Image.open("examples/dog_and_red_car.png")
    heat = torch.rand(20, 30)
    everything: dict[str, Callable[[], Any]] = {
        "whyclip": lambda: whyclip,
        "Path": lambda: Path,
        "model": lambda: view,
        "image": lambda: image,
        "ex": lambda: whyclip.explain(view, image, ["a dog", "a red car"]),
        "directions": lambda: torch.randn(2, view.module.visual.output_dim),
        "texts": lambda: ["a dog", "a car", "a house", "something red"],
        "heatmap": lambda: heat,
        "mask": lambda: heat > 0.5,
    }
    return {name: everything[name]() for name in names}


def run_page(path: Path, chosen: Items, view: whyclip.ModelView) -> None:
    def call(arguments: list[str]) -> int:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert isinstance(ended.value.code, int)
        return ended.value.code

    # A page may set what belongs to the reader's process.
    with matplotlib.rc_context():
        names = given(GIVEN.get(path.stem, ()), view)
        for kind, code in chosen:
            if kind == "python":
                execute(code, names, path.stem)
            else:
                run(code, call)


QUICK = [path for path in PAGES if runnable(path, later=False)]
SLOW = [path for path in PAGES if has_later(path)]


@pytest.mark.parametrize("path", QUICK, ids=lambda path: path.stem)
def test_a_page_runs(
    path: Path, reader: Callable[[Path, int], None], mini: whyclip.ModelView
) -> None:
    reader(path, QUICK_SAMPLES)
    run_page(path, runnable(path, later=False), mini)


@pytest.mark.slow
@pytest.mark.parametrize("path", SLOW, ids=lambda path: path.stem)
def test_a_page_runs_as_a_whole(
    path: Path, reader: Callable[[Path, int], None], mini: whyclip.ModelView
) -> None:
    reader(path, SLOW_SAMPLES)
    run_page(path, runnable(path, later=True), mini)


def test_every_entry_of_the_lists_is_on_a_page() -> None:
    every = [item for path in PAGES for item in EVERY[path]]
    for entry in (*NOT_HERE, *LATER):
        assert any(listed(kind, code, {entry: ""}, {}) for kind, code in every), entry
    # A part of many blocks, such as "load(", would quietly take them all out of the test.
    for entry in (*NOT_HERE_PYTHON, *LATER_PYTHON):
        assert sum(bool(listed(kind, code, {}, {entry: ""})) for kind, code in every) == 1, entry
    for entries in (NOT_HERE, NOT_HERE_PYTHON, LATER, LATER_PYTHON, MODELS):
        assert all(len(reason) > 10 for reason in entries.values())
    assert sum(not not_here(kind, code) and not is_later(kind, code) for kind, code in every) >= 70
    for spec in (*MODELS, *(f"openclip:{folder}" for folder in FOLDERS)):
        assert any(spec in code.split() for _, code in every), spec
    for page in GIVEN:
        assert any(path.stem == page for path in PAGES), page


def test_the_pages_are_read_whole() -> None:
    # What is neither a command nor Python is shown, not run: it says so by its language.
    languages = {
        block.language for path in PAGES for block in blocks(path.read_text(encoding="utf-8"))
    }
    shown = {one for one in languages if one.startswith("{")} | {"text", "json"}
    assert languages <= {"python", *SHELLS, *shown}
    for path in PAGES:
        for kind, code in EVERY[path]:
            first = code.split()[0]
            assert kind == "python" or first in PROGRAMS, f"{path.name}: {code}"
    assert sum(kind == "sh" for path in PAGES for kind, _ in EVERY[path]) >= 100


PROGRAMS = ("whyclip", "cat", "pip", "uv", "make", "python", "jupyter", "duckdb", "torchrun")
PROGRAMS += ("accelerate",)
