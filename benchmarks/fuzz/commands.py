"""Cases on the command line, run in this process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from benchmarks.fuzz import draw, pictures, states
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.models import tiny_model_on_the_command_line, view_of
from whyclip.cli import main
from whyclip.methods import METHODS

# 0: success; 1: the output pipe was closed or a difference was found; 2: invalid input.
CODES = (0, 1, 2)
# Allow extra length for the hint about prompts that look like options, and the pointer to help.
LONGEST = 500
JUNK = (
    *("", " ", "--", "-", "-5 degrees", "--nosuch", "-x", "--out", "\x1b[31m", "a\nb", "x" * 400),
    *(
        "no.png",
        "*.png",
        "[",
        "~",
        "/",
        "{name}",
        "--help",
        "file:///no.png",
        "\udcff",
        "--threads=0",
    ),
)
OTHERS: tuple[tuple[str, ...], ...] = (
    *((), ("--version",), ("--help",), ("methods",), ("metrics",), ("datasets",), ("models",)),
    *(("methods", "grad_eclip"), ("methods", "nosuch"), ("metrics", "deletion"), ("nosuch",)),
    *(("audit",), ("reproduce",), ("evaluate", "--help"), ("audit", "--help")),
    *(("evaluate", "--data", "nosuch"), ("audit", "--data", "coco:nowhere"), ("reproduce", "x")),
    *(("evaluate", "--data", "folder:.", "--methods", "nosuch"), ("audit", "--data", "folder:.")),
)


def drawn(chance: Draw, folder: Path) -> list[str]:
    """Draw arguments, and create the files that they name."""
    for name in ("one.png", "two.jpg"):
        pictures.image(chance, "RGB").save(folder / name)
    if chance.odds(0.2):
        shutil.copy(pictures.file(chance, folder), folder / "one.png")
    (folder / "prompts.txt").write_bytes(
        b"a dog\n\ntwo cars\n" if chance.odds(0.7) else chance.randbytes(40)
    )
    given = list(chance.choice(OTHERS)) if chance.odds(0.12) else _with_model(chance)
    for _ in range(chance.choice((0, 0, 0, 1, 2))):
        given.insert(chance.randrange(len(given) + 1), chance.choice(JUNK))
    return given


def _with_model(chance: Draw) -> list[str]:
    command = chance.choice(("explain", "explain", "explain", "explain", "compare", "interaction"))
    images = chance.choice((["one.png"], ["one.png"], ["two.jpg", "one.png"], ["*.png"], ["."]))
    given = [command, *images, *(draw.prompt(chance) for _ in range(chance.randint(0, 2)))]
    names = chance.sample(list(METHODS), 2)
    some = {
        "--method": names[0] if command == "explain" else ",".join(names),
        "--option": draw.one_of(chance, ("heads=single", "layers=1", "seed=3", "relu=", "=")),
        "--against": draw.prompt(chance),
        "--side": chance.choice(("image", "text", "image,text", "words", "")),
        "--geometry": chance.choice(("model", "keep", "pad", "kep")),
        "--precision": chance.choice(("fp32", "bf16", "fp8")),
        "--device": chance.choice(("cpu", "cpu", "cuda:77", "nosuch", "")),
        "--prompts": chance.choice(("prompts.txt", "prompts.txt", "no.txt", ".", "one.png")),
        "--threads": chance.choice(("1", "1", "0", "x")),
        "--model": chance.choice(
            ("mini", "mini", "hf:", "openclip:nosuch", "min", "hf:./no/where")
        ),
        "--out": chance.choice(
            (
                "why.html",
                "why.json",
                "w.npz",
                "w.png",
                "no/w.html",
                "w.txt",
                ".",
                "m/{name}.json",
                "",
            )
        ),
        "--json": None,
        "--quiet": None,
        "--verbose": None,
    }
    for option, value in some.items():
        # Drawing a figure takes much longer than everything else.
        if chance.odds(0.12 if option != "--method" else 0.5) and isinstance(value, str | None):
            given += [option] if value is None else [option, value]
    slow = names[0] in draw.TINY or (command == "compare" and names[1] in draw.TINY)
    if slow and command == "explain":
        for key, value in draw.TINY[names[0]].items():
            given += ["--option", f"{key}={value}"]
    return given


def run(given: list[str], folder: Path) -> tuple[str, list[str]]:
    """Run a command line in its own folder, and check its output and its files."""
    module = view_of("openclip").module
    assert module is not None
    model = states.of_model(module)
    streams = [TextIOWrapper(BytesIO(), encoding="utf-8") for _ in range(3)]
    faults: list[str] = []
    code: Any = None
    with _inside(folder), tiny_model_on_the_command_line(), warnings.catch_warnings():
        before = states.of_process()
        with _streams(streams):
            try:
                main(given)
            except SystemExit as ending:
                code = ending.code
            except BaseException as error:  # noqa: BLE001 - any other exception is a fault
                faults.append(f"raw {type(error).__name__}: {str(error)!r:.200}")
        faults += states.differences(before, states.of_process())
    faults += states.differences(model, states.of_model(module))
    _, out, err = (_written(stream) for stream in streams)
    if not faults:
        faults += _of(code, out, err, given)
    return f"exit {code}", faults


def _of(code: Any, out: str, err: str, given: list[str]) -> Iterator[str]:
    if code not in CODES:
        yield f"exit code {code}: {err[-300:]!r}"
    lines = err.splitlines()
    if "Traceback" in err:
        yield f"a traceback: {err[-300:]!r}"
    for line in lines:
        if not line.isprintable() and line.startswith(("whyclip:", "note:", "wrote")):
            yield f"controls on stderr: {line!r:.200}"
        if line.startswith("whyclip: ") and len(line) > LONGEST:
            yield f"an error of {len(line)} characters: {line!r:.600}"
    if code == 2:
        said = [line for line in lines if line.startswith("whyclip: ")]
        # With several images, each broken one has its own line, and the others are explained.
        of_images = given[:1] == ["explain"] and all("'" in line for line in said)
        wrong = len(said) != 1 and not (of_images and len(set(said)) == len(said) > 1)
        if wrong or (lines[-1] != said[-1] and not of_images):
            yield f"an error of {len(said)} lines: {err!r:.400}"
    if code == 0 and given[:1] == ["explain"] and "--json" in given and "--help" not in given:
        yield from _of_json(out)


def _of_json(out: str) -> Iterator[str]:
    for line in out.splitlines():
        try:
            json.loads(line, parse_constant=float)
        except ValueError as error:  # noqa: PERF203
            yield f"--json printed invalid JSON ({error}): {line!r:.160}"


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _streams(streams: list[TextIOWrapper]) -> Iterator[None]:
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


def _written(stream: TextIOWrapper) -> str:
    if stream.writable():
        stream.flush()
    held = stream.buffer
    assert isinstance(held, BytesIO)
    return held.getvalue().decode("utf-8", "replace")
