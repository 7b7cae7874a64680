from __future__ import annotations

import io
import sys
from typing import Any

import pytest
from rich.progress import Progress

from whyclip.progress import shared, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    return terminal


def lines(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Collect the names of all lines shown whenever one is added, and the displays started."""
    seen: list[list[str]] = []
    add = Progress.add_task

    def noted(self: Progress, description: str, **given: Any) -> Any:
        task = add(self, description, **given)
        seen.append([str(id(self)), *(line.description for line in self.tasks)])
        return task

    monkeypatch.setattr(Progress, "add_task", noted)
    return seen


def test_work_within_work_shares_one_display(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_a_terminal(monkeypatch)
    seen = lines(monkeypatch)
    pairs = [(a, b) for a in track([0, 1], "outer") for b in track(iter([2, 3]), "inner", 2)]
    assert pairs == [(0, 2), (0, 3), (1, 2), (1, 3)]
    assert [names for _, *names in seen] == [["outer"], ["outer", "inner"], ["outer", "inner"]]
    assert len({display for display, *_ in seen}) == 1


def test_a_display_that_is_already_on_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    on_a_terminal(monkeypatch)
    seen = lines(monkeypatch)
    with Progress() as bar, shared(bar):
        assert list(track(range(3), "within")) == [0, 1, 2]
    assert seen == [[str(id(bar)), "within"]]
    list(track(range(3), "alone"))
    assert seen[-1][1:] == ["alone"]
    assert seen[-1][0] != str(id(bar))


def test_one_item_or_no_terminal_shows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = on_a_terminal(monkeypatch)
    assert list(track([1], "single")) == [1]
    assert terminal.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(track([1, 2], "piped")) == [1, 2]
    assert sys.stderr.getvalue() == ""
