"""What ``whyclip methods``, ``models``, ``--help`` and ``--version`` say is what there is."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import open_clip
import pytest

import whyclip
from whyclip.methods import METHODS

Run = Callable[..., Any]


def test_every_method_is_listed_with_all_that_it_declares(
    whyclip_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    done = whyclip_command("methods")
    assert done.code == 0
    names = [line.split()[0] for line in done.out.splitlines() if line[:1].strip()]
    assert names[: len(METHODS)] == list(METHODS)
    entries = {
        entry.split()[0]: " ".join(entry.split()) for entry in re.split(r"\n\s*\n", done.out)
    }
    for method in METHODS.values():
        entry = entries[method.name]
        for claim in (method.summary, method.source, method.cost, method.explains, method.sums_to):
            assert claim in entry
        assert f"{' and '.join(method.sides)} · " in entry
        assert ("· signed" in entry) == method.signed
        assert ("· never negative" in entry) != method.signed
        assert ("depends on the prompt" in entry) == method.text_specific
        assert ("· slow ·" in entry) == method.slow


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_described_with_all_its_options(whyclip_command: Run, name: str) -> None:
    method = METHODS[name]
    printed = " ".join(whyclip_command("methods", name).out.split())
    assert method.title in printed
    assert method.cost in printed
    for option in method.options:
        assert f"{option}=" in printed
        for choice in method.choices.get(option, ()):
            assert str(choice) in printed


def test_models_shows_how_to_name_one(whyclip_command: Run) -> None:
    done = whyclip_command("models")
    assert done.code == 0
    for form in ("mini", "openclip:ViT-B-16/openai", "hf:openai/clip-vit-base-patch16"):
        assert form in done.out
    assert "million parameters" in done.out


def test_models_all_lists_what_openclip_knows(whyclip_command: Run) -> None:
    lines = whyclip_command("models", "--all").out.splitlines()
    assert lines == [f"openclip:{arch}/{tag}" for arch, tag in open_clip.list_pretrained()]


def test_version(whyclip_command: Run) -> None:
    assert whyclip_command("--version").out.strip() == f"whyclip {whyclip.__version__}"
    assert whyclip.__version__ == version("whyclip")


def test_alone_it_shows_its_help(whyclip_command: Run) -> None:
    alone = whyclip_command()
    assert alone.code == 0
    assert alone.out.strip() == whyclip_command("--help").out.strip()
    assert all(name in alone.out for name in ("explain", "compare", "methods", "models"))


@pytest.mark.parametrize("command", ["explain", "compare", "methods", "models"])
def test_every_help_has_an_example(whyclip_command: Run, command: str) -> None:
    done = whyclip_command(command, "--help")
    assert done.code == 0
    assert f"whyclip {command}" in done.out.split("Examples")[1]
