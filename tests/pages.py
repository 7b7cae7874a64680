"""Code blocks of the documentation, and a shell that runs them in this process."""

from __future__ import annotations

import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHELLS = ("sh", "bash", "shell", "console")


class Block(NamedTuple):
    """A block of code: its language, the line that it begins at, and its lines."""

    language: str
    line: int
    code: str


def blocks(text: str) -> Iterator[Block]:
    """Read the blocks of a page in their order; an indented block is one of the shell."""
    lines = [*text.splitlines(), ""]
    at = 0
    while at < len(lines):
        fence = re.match(r"(`{3,})(.*)", lines[at])
        indented = lines[at].startswith("    ") and lines[at].strip()
        if fence:
            end = lines.index(fence[1], at + 1)
            yield Block(fence[2].strip(), at + 1, "\n".join(lines[at + 1 : end]))
            at = end
        elif indented and (at == 0 or not lines[at - 1].strip()):
            end = next(i for i in range(at, len(lines)) if not lines[i].startswith("    "))
            yield Block("sh", at + 1, "\n".join(line[4:] for line in lines[at:end]))
            at = end - 1
        at += 1


def commands(block: Block) -> list[str]:
    """The commands of a block of the shell, one per line; a backslash continues a line."""
    return [line.strip() for line in block.code.replace("\\\n", " ").splitlines() if line.strip()]


def words(command: str) -> list[str]:
    """Split a command as a shell does; what stands after # is a comment."""
    reader = shlex.shlex(command, posix=True, punctuation_chars="|&>")
    reader.whitespace_split = True
    return list(reader)


def whyclip_calls(command: str) -> list[list[str]]:
    """The arguments of every call of whyclip in a command."""
    return [part[1:] for part in _split(words(command), "&&", "|", ">") if part[0] == "whyclip"]


def _split(given: list[str], *marks: str) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in given:
        if word in marks:
            parts.append([])
        else:
            parts[-1].append(word)
    return parts


def run(command: str, call: Callable[[list[str]], int]) -> None:
    """Run a command: whyclip in this process, ``&&``, a pipe from ``cat``, and ``>`` into a file.

    An installation before the command is left out.

    Args:
        command: as it stands on the page.
        call: runs ``whyclip`` with arguments and gives its exit code.
    """
    for part in _split(words(command), "&&"):
        *sources, last = _split(part, "|")
        arguments, *target = _split(last, ">")
        content = b""
        for source in sources:
            assert source[0] == "cat", f"{command}: only cat is known before a pipe"
            content = b"".join(Path(name).read_bytes() for name in source[1:])
        if arguments[0] == "pip":  # the installation before the command
            continue
        assert arguments[0] == "whyclip", f"{command}: {arguments[0]} is not run here"
        with _streams(content if sources else None, target[0][0] if target else None):
            code = call(arguments[1:])
        assert code == 0, f"{command}: exit code {code}"
        for [file] in target:
            assert Path(file).stat().st_size, f"{command}: {file} is empty"


@contextmanager
def _streams(content: bytes | None, target: str | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if content is not None:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        if target is None:
            yield
            return
        with Path(target).open("w", encoding="utf-8") as file:
            patch.setattr(sys, "stdout", file)
            yield


def execute(code: str, names: dict[str, Any], page: str) -> None:
    """Run a block of Python with the names of the page's blocks before it."""
    exec(compile(code, page, "exec"), names)
