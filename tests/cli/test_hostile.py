"""Command lines that no one should write: exit code 2, one line, no traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whyclip.cli.faults import fault
from whyclip.cli.terminal import one_line

Run = Callable[..., Any]

HUGE = "9" * 30
EXPLAIN = ("explain", "IMAGE", "a dog")
GRAD = (*EXPLAIN, "--method", "grad_eclip", "--option")

HOSTILE: list[tuple[tuple[str, ...], str]] = [
    (("explain",), "Missing"),
    (("explain", "IMAGE"), "no prompt given"),
    (("explain", "", "a dog"), "''"),
    (("explain", "-", "a dog"), "standard input"),
    (("explain", "IMAGE", "-5 degrees"), "write -- before the prompts"),
    (("explain", "IMAGE", "a dog", "-made of wood"), "write -- before the prompts"),
    (("explain", "IMAGE", "--a dog"), "write -- before the prompts"),
    (("explain", "IMAGE", "a dog", "IMAGE"), "is the name of a file"),
    (("explain", "IMAGE", "-- "), "write -- before"),
    (("explain", "a\0b", "a dog"), "whyclip: "),
    (("explain", "\udcff.png", "a dog"), r"\udcff.png"),
    (("explain", "new\nline.png", "a dog"), "line.png"),
    (("explain", "\x1b[31mred.png", "a dog"), r"\x1b[31mred.png"),
    (("explain", "\u202egnp.exe", "a dog"), r"\u202egnp.exe"),
    (("explain", "x" * 5000, "a dog"), "..."),
    (("explain", "https://example.org/a.png", "a dog"), "https://example.org/a.png"),
    (("explain", "/dev/null", "a dog"), "/dev/null"),
    (("explain", "/", "a dog"), "has no images"),
    ((*EXPLAIN, "--device", "meta"), "'meta'"),
    ((*EXPLAIN, "--device", "cuda:99"), "'cuda:99'"),
    ((*EXPLAIN, "--device", ""), "--device"),
    ((*EXPLAIN, "--device", "cpu\ncuda"), "--device"),
    ((*EXPLAIN, "--threads", "0"), "--threads"),
    ((*EXPLAIN, "--threads", HUGE), "--threads"),
    ((*EXPLAIN, "--threads", "two"), "--threads"),
    ((*EXPLAIN, "-q", "-v"), "exclude each other"),
    ((*EXPLAIN, "--method", ""), "--method"),
    ((*EXPLAIN, "--method", "rise,occlusion"), "whyclip compare"),
    ((*EXPLAIN, "--method", "x" * 5000), "unknown method"),
    ((*EXPLAIN, "--option", "layers=2"), "--method"),
    ((*GRAD, f"layers={HUGE}"), "smaller number"),
    ((*GRAD, f"layers=-{HUGE}"), "smaller number"),
    ((*GRAD, f"layers={'9' * 5000}"), "whole number"),
    ((*GRAD, "layers=[1]"), "whole number"),
    ((*GRAD, "layers=1e9"), "whole number"),
    ((*GRAD, "layers"), "KEY=VALUE"),
    ((*GRAD, "=1"), "option"),
    ((*EXPLAIN, "--method", "rise", "-o", f"masks={HUGE}"), "smaller number"),
    ((*EXPLAIN, "--method", "rise", "-o", "p=nan"), "finite number"),
    ((*EXPLAIN, "--method", "rise", "-o", "p=inf"), "finite number"),
    ((*EXPLAIN, "--side", ""), "--side"),
    ((*EXPLAIN, "--side", "both"), "'both'"),
    ((*EXPLAIN, "--geometry", ""), "geometry"),
    ((*EXPLAIN, "--against", ""), "empty"),
    ((*EXPLAIN, "--model", ""), "model"),
    ((*EXPLAIN, "--model", "x\0y"), "model"),
    ((*EXPLAIN, "--out", ""), "--out"),
    ((*EXPLAIN, "--out", "why\0.html"), "--out"),
    ((*EXPLAIN, "--out", "/dev/null"), "--out"),
    ((*EXPLAIN, "--prompts", "IMAGE"), "--prompts"),
    ((*EXPLAIN, "--prompts", "nowhere.txt"), "--prompts"),
    ((*EXPLAIN, "--prompts", "/"), "--prompts"),
    (("compare", "IMAGE"), "no prompt given"),
    (("compare", "IMAGE", "a dog", "--methods", ","), "method"),
    (("compare", "IMAGE", "-5 degrees"), "write -- before the prompts"),
    (("compare", "IMAGE", "a dog", "--out", "why.json"), ".png"),
    (("interaction", "IMAGE", "a dog", "a cat"), "a cat"),
    (("interaction", "IMAGE", ""), "empty"),
    (("evaluate", "--seed", HUGE), "--seed"),
    (("evaluate", "--seed", "-1"), "--seed"),
    (("evaluate", "--limit", "-5"), "--limit"),
    (("evaluate", "--limit", "0"), "--limit"),
    (("evaluate", "--data", "folder:nowhere.csv"), "nowhere.csv"),
    (("audit", "--threshold", "x"), "CHECK=NUMBER"),
    (("audit", "--seed", HUGE), "--seed"),
    (("audit", "--checks", "nonesuch"), "nonesuch"),
    (("reproduce", "nonesuch"), "nonesuch"),
    (("reproduce", "equality", "--seed", HUGE), "--seed"),
    (("methods", "nonesuch"), "nonesuch"),
    (("metrics", "x" * 5000), "unknown metric"),
    (("datasets", "x"), "x"),
    (("--nonesuch",), "--nonesuch"),
    (("",), "''"),
    (("explain\n",), "explain"),
]


@pytest.mark.parametrize(
    ("arguments", "named"), HOSTILE, ids=[ascii(" ".join(line)[-40:]) for line, _ in HOSTILE]
)
def test_hostile_command_lines(
    whyclip_command: Run,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    named: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", None)
    given = [str(picture) if argument == "IMAGE" else argument for argument in arguments]
    done = whyclip_command(*given)
    assert (done.code, done.out) == (2, ""), done.err
    [line] = done.err.splitlines()
    assert line.startswith("whyclip: ")
    assert named in line
    assert line.isprintable()
    assert len(line) <= 500
    assert "Traceback" not in line
    assert "a bug in whyclip" not in line
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_after_two_dashes_everything_is_a_prompt(
    whyclip_command: Run, folder: Path, picture: Path
) -> None:
    done = whyclip_command("explain", "--model", folder, "--", picture, "-5 degrees")
    assert done.code == 0, done.err
    assert "-5 degrees" in done.out


def test_an_error_that_nobody_meant_to_raise_is_one_line(
    whyclip_command: Run, folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("first\nsecond")

    monkeypatch.setattr("whyclip.explain", broken)
    done = whyclip_command("explain", picture, "a dog", "--model", folder)
    assert (done.code, done.out) == (3, "")
    [line] = done.err.splitlines()
    assert "unexpected KeyError at cli/explain.py:" in line


def test_too_little_memory_is_not_a_fault_of_whyclip() -> None:
    for error in (
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        RuntimeError("CUDA out of memory. Tried to allocate"),
    ):
        message, code = fault(error)
        assert code == 2
        assert "memory" in message


def test_messages_are_one_short_line() -> None:
    assert one_line("a\n b\t\x85c\u2028d") == "a b c d"
    assert one_line("\x1b[2J\x07\x9b\udc80\u202e") == r"\x1b[2J\x07\x9b\udc80\u202e"
    assert one_line(f"no {'x' * 80!r}") == f"no {'x' * 80!r}"
    short = one_line(f"no {'a' * 99 + 'end'!r}, but 'this'")
    assert short.endswith("end', but 'this'")
    assert len(short) == len("no '', but 'this'") + 80
    assert len(one_line("word " * 1000)) <= 480
