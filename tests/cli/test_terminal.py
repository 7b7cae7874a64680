"""What is printed, on any terminal: nothing that was computed is lost by it."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    "arguments",
    [
        ("reproduce", "equality", "--limit", "1"),
        ("audit", "--methods", "contribution", "--checks", "score_gap", "--limit", "2"),
        ("evaluate", "--methods", "contribution", "--metrics", "insertion", "--limit", "2"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_report_is_saved_before_a_closed_pipe_is_met(
    whyclip_command: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
) -> None:
    class Closed:
        def print(self, *_: object) -> None:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setenv("WHYCLIP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(f"whyclip.cli.{arguments[0]}.stdout", Closed)
    out = tmp_path / "out"
    done = whyclip_command(*arguments, "--model", folder, "--data", "scenes:2", "--out", out)
    assert done.code == 1
    assert "wrote" not in done.err
    assert "--data scenes:2" in (out / "index.html").read_text(encoding="utf-8")


def test_a_stream_of_few_characters_gets_escapes(
    whyclip_command: Run, folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(*arguments: object) -> str:
        stream = TextIOWrapper(BytesIO(), "ascii", errors="strict")
        monkeypatch.setattr(sys, "stdout", stream)
        assert whyclip_command(*arguments).code == 0
        stream.flush()
        return stream.buffer.getvalue().decode("ascii")

    assert "grad_eclip" in printed("methods")
    assert r"caf\xe9 \u732b" in printed("explain", picture, "café 猫", "--model", folder)


@pytest.mark.parametrize("command", ["explain", "compare", "interaction"])
def test_a_written_path_is_printed_in_one_piece(
    whyclip_command: Run,
    folder: Path,
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / f"[bold] and {'long ' * 20}.png"
    flags = ("--method", "contribution") if command != "interaction" else ()
    done = whyclip_command(command, picture, "a dog", "-m", folder, *flags, "--out", path)
    assert (done.code, done.err) == (0, f"wrote {path}\n")
    assert path.is_file()
