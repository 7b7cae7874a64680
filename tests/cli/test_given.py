"""Which arguments are images and which are prompts, and where results go."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whyclip
from whyclip.cli.given import split
from whyclip.errors import ImageError, PromptError

Run = Callable[..., Any]


@pytest.fixture
def photos(tmp_path: Path, picture: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images and a text file in ``photos``, below the working directory."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("b.png", "a.png", "c [1].PNG"):
        shutil.copy(picture, folder / name)
    (folder / "notes.txt").write_text("no image")
    monkeypatch.chdir(tmp_path)
    return folder


THREE = ("photos/a.png", "photos/b.png", "photos/c [1].PNG")


@pytest.mark.parametrize(
    ("arguments", "images", "prompts", "many"),
    [
        (["photos/a.png", "a dog"], THREE[:1], ("a dog",), False),
        (["photos/a.png", "a dog", "a cat"], THREE[:1], ("a dog", "a cat"), False),
        (["photos/a.png", "photos/b.png", "a dog"], THREE[:2], ("a dog",), True),
        (["photos", "a dog"], THREE, ("a dog",), True),
        (["photos/", "a dog"], THREE, ("a dog",), True),
        (["photos/*", "a dog"], THREE, ("a dog",), True),
        (["photos/*.png", "a dog"], THREE[:2], ("a dog",), True),
        (["**/b.*", "a dog"], THREE[1:2], ("a dog",), True),
        (["photos/c [1].PNG", "a dog"], THREE[2:], ("a dog",), False),
        (["photos/a.png", "photos", "a dog"], THREE, ("a dog",), True),
        (["-", "a dog"], ("-",), ("a dog",), False),
        (["photos/a.png", "is it a dog?"], THREE[:1], ("is it a dog?",), False),
        (["photos/a.png", "a [red] car"], THREE[:1], ("a [red] car",), False),
        (["photos/a.png", "5*5"], THREE[:1], ("5*5",), False),
        (["photos/a.png", "x" * 5000], THREE[:1], ("x" * 5000,), False),
        (["photos/a.png", "a\0b"], THREE[:1], ("a\0b",), False),
        (["nowhere.png", "a dog"], ("nowhere.png",), ("a dog",), False),
    ],
)
@pytest.mark.usefixtures("photos")
def test_images_come_first(
    arguments: list[str], images: tuple[str, ...], prompts: tuple[str, ...], many: bool
) -> None:
    given = split(arguments)
    assert tuple(sorted(given.images)) == tuple(sorted(images))
    assert (given.prompts, given.many) == (prompts, many)


@pytest.mark.parametrize(
    ("arguments", "kind", "named"),
    [
        (["photos/a.png", "a dog", "photos/b.png"], PromptError, "'photos/b.png' is the name of"),
        (["photos/a.png", "a dog", "photos"], PromptError, "'photos' is the name of"),
        (["photos/a.png", "photos/z.png"], PromptError, "looks like an image"),
        (["photos/a.png", "photos/z.png", "a dog"], PromptError, "looks like an image"),
        (["photos/a.png", "photos/b.png"], PromptError, "no prompt given"),
        (["photos"], PromptError, "no prompt given"),
        (["empty", "a dog"], ImageError, "folder 'empty' has no images"),
        (["photos/*.txt", "a dog"], ImageError, "pattern 'photos/*.txt' has no images"),
    ],
)
def test_doubtful_arguments_are_questioned(
    photos: Path, arguments: list[str], kind: type[Exception], named: str
) -> None:
    (photos.parent / "empty").mkdir()
    with pytest.raises(kind) as raised:
        split(arguments)
    assert named in str(raised.value)


def test_prompts_from_a_file_leave_only_images_on_the_command_line(photos: Path) -> None:
    given = split(["photos/a.png", "photos/b.png"], ["a.png"])
    assert given.prompts == ("a.png",)
    assert len(given.images) == 2
    assert photos.is_dir()


def records(path: Path) -> dict[str, Any]:
    return {one.stem: json.loads(one.read_text(encoding="utf-8")) for one in path.glob("*.json")}


@pytest.mark.usefixtures("photos")
def test_every_image_gets_its_own_file_and_the_result_of_one_alone(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView
) -> None:
    done = whyclip_command(
        *("explain", "photos", "a dog", "-m", folder, "--out", "out/x/{name}.json", "--out", "html")
    )
    assert done.code == 0, done.err
    results = records(Path("out/x"))
    assert sorted(results) == ["a", "b", "c [1]"]
    pages = ["a.html", "b.html", "c [1].html", "index.html"]
    assert sorted(p.name for p in Path("html").iterdir()) == pages
    score = whyclip.explain(model, "photos/a.png", "a dog").scores.item()
    assert results["a"]["prompts"][0]["score"] == pytest.approx(score, abs=1e-6)
    at = [done.out.index(name) for name in THREE]
    assert at == sorted(at)


@pytest.mark.usefixtures("photos")
def test_images_of_one_name_get_files_of_their_own(
    whyclip_command: Run, folder: Path, picture: Path
) -> None:
    Path("other").mkdir()
    shutil.copy(picture, "other/A.png")
    shutil.copy(picture, "photos/a.jpg")
    done = whyclip_command(
        *("explain", "photos/a.png", "photos/a.jpg", "other", "a dog"),
        *("-m", folder, "--out", "out/{name}.json"),
    )
    assert done.code == 0, done.err
    assert sorted(p.name for p in Path("out").iterdir()) == ["A-3.json", "a-2.json", "a.json"]


@pytest.mark.parametrize(
    ("out", "named"),
    [
        ("why.html", "name a folder, or a pattern such as '{name}.html'"),
        ("photos/{name}.png", "is the image itself"),
        ("{name}.nonesuch", "known: .html"),
        ("photos/notes.txt/{name}.html", "cannot be made"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_an_out_that_does_not_suit_several_images(
    whyclip_command: Run, folder: Path, out: str, named: str
) -> None:
    done = whyclip_command("explain", "photos", "a dog", "-m", folder, "--out", out)
    assert (done.code, done.out) == (2, "")
    [line] = done.err.splitlines()
    assert named in line


def test_one_broken_image_does_not_stop_the_others(
    whyclip_command: Run, folder: Path, photos: Path
) -> None:
    (photos / "a.png").write_bytes(b"no image")
    done = whyclip_command(
        *("explain", "photos", "a dog", "-m", folder, "--out", "out/{name}.json")
    )
    assert done.code == 2
    errors = [line for line in done.err.splitlines() if line.startswith("whyclip: ")]
    assert len(errors) == 1
    assert "a.png" in errors[0]
    assert sorted(records(Path("out"))) == ["b", "c [1]"]


@pytest.mark.usefixtures("photos")
def test_json_is_all_that_is_printed(
    whyclip_command: Run, folder: Path, model: whyclip.ModelView
) -> None:
    done = whyclip_command("explain", "photos", "a dog", "café", "-m", folder, "--json")
    assert (done.code, done.err) == (0, "")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["file"] for line in lines] == sorted(THREE)
    Path("one.json").write_text(done.out.splitlines()[0], encoding="utf-8")
    loaded = whyclip.load_explanation("one.json")
    explanation = whyclip.explain(model, "photos/a.png", ["a dog", "café"])
    assert loaded.labels == explanation.labels
    assert loaded.scores.tolist() == pytest.approx(explanation.scores.tolist(), abs=1e-6)


class Piped:
    """Standard input with bytes in it."""

    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


def test_standard_input_is_an_image(
    whyclip_command: Run, folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(*arguments: object) -> Any:
        done = whyclip_command("explain", *arguments, "a dog", "-m", folder, "--json")
        assert done.code == 0, done.err
        return json.loads(done.out)

    monkeypatch.setattr(sys, "stdin", Piped(picture.read_bytes()))
    piped = printed("-")
    assert piped.pop("file") == "-"
    named = printed(picture)
    del named["file"]
    assert piped == named


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"no image at all"])
def test_standard_input_that_is_no_image(
    whyclip_command: Run, folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(content))
    done = whyclip_command("explain", "-", "a dog", "-m", folder)
    assert done.code == 2
    [line] = done.err.splitlines()
    assert "standard input" in line


MAGIC = {".jpg": b"\xff\xd8\xff", ".svg": b"<?xml", ".pdf": b"%PDF-", ".png": b"\x89PNG"}


@pytest.mark.parametrize("extension", sorted(MAGIC))
def test_figures_of_every_format(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path, extension: str
) -> None:
    first, second = tmp_path / f"1{extension}", tmp_path / f"2{extension}"
    flags = ("-m", folder, "--out", first, "--out", second)
    assert whyclip_command("explain", picture, "a dog", *flags).code == 0
    content = first.read_bytes()
    assert content.startswith(MAGIC[extension])
    assert content == second.read_bytes(), "the same explanation gives the same file"
    if extension == ".pdf":
        assert b"/FontFile2" in content, "fonts are embedded as TrueType"
        assert b"/Type3" not in content


def test_quiet_prints_errors_only(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    long = " ".join(["dog"] * 90)
    out = tmp_path / "why.html"
    done = whyclip_command("explain", picture, long, "-m", folder, "--quiet", "--out", out)
    assert out.exists()
    assert done == (0, "", "")
    done = whyclip_command("explain", "nowhere.png", "a dog", "-q")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)


def test_verbose_prints_the_time_of_every_step(
    whyclip_command: Run, folder: Path, picture: Path
) -> None:
    done = whyclip_command("explain", picture, "a dog", "-m", folder, "-v")
    assert done.code == 0
    steps = [line.split(" s ")[1] for line in done.err.splitlines() if " s " in line]
    assert steps == ["starting", f"loading {folder}", "explaining"]


@pytest.mark.parametrize("flag", ["--method", "--methods"])
def test_method_and_methods_are_the_same(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path, flag: str
) -> None:
    common = ("-m", folder, flag)
    done = whyclip_command("explain", picture, "a dog", *common, "contribution", "--json")
    assert json.loads(done.out)["method"] == "contribution"
    out = tmp_path / "compare.png"
    names = "contribution, random"
    done = whyclip_command("compare", picture, "a dog", *common, names, "--out", out)
    assert done.code == 0, done.err
    done = whyclip_command("explain", picture, "a dog", *common, names)
    assert (done.code, "whyclip compare" in done.err) == (2, True)
    for command in ("audit", "evaluate"):
        assert "unknown method 'no'" in whyclip_command(command, flag, "no").err
