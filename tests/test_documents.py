"""What README and documentation show exists and works as written."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import typer

import tiny
import whyclip
from whyclip.cli import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_relative_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"(?s)```.*?```|`[^`\n]*`", "", path.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    here = [link for link in links if not re.match(r"[a-z]+:|#", link)]
    missing = [link for link in here if not (path.parent / link.split("#")[0]).exists()]
    assert not missing


def command_lines() -> list[tuple[str, list[str]]]:
    commands = []
    for path in DOCUMENTS:
        for line in path.read_text(encoding="utf-8").splitlines():
            command = line.split("&& ")[-1].strip()
            if line.startswith("    ") and command.startswith("whyclip "):
                commands.append((name_of(path), shlex.split(command, comments=True)))
    return commands


def test_commands_shown_use_options_that_exist() -> None:
    shown = command_lines()
    assert len(shown) >= 15
    for where, (_, command, *arguments) in shown:
        assert command in COMMANDS, f"{where}: {command}"
        known = {flag for parameter in COMMANDS[command].params for flag in parameter.opts}
        flags = {argument for argument in arguments if argument.startswith("-")}
        assert flags <= known, f"{where}: {flags - known}"


def test_commands_in_a_sentence_use_options_that_exist() -> None:
    shown = 0
    for path in DOCUMENTS:
        text = re.sub(r"(?s)```.*?```", "", path.read_text(encoding="utf-8"))
        for command, arguments in re.findall(r"`whyclip ([a-z]+)\b([^`]*)`", text):
            assert command in COMMANDS, f"{name_of(path)}: {command}"
            known = {flag for parameter in COMMANDS[command].params for flag in parameter.opts}
            flags = set(re.findall(r"(?<!\S)--[a-z][\w-]*", arguments)) - {"--help"}
            assert flags <= known, f"{name_of(path)}: {flags - known}"
            shown += bool(flags)
    assert shown >= 5


def test_the_command_line_reference_has_every_option() -> None:
    place = ROOT / "docs" / "_ext" / "cli_reference.py"
    spec = importlib.util.spec_from_file_location("cli_reference", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sections = dict(re.findall(r"(?ms)^## whyclip (\S+)\n(.*?)(?=^## |\Z)", module.as_markdown()))
    assert sections.keys() == COMMANDS.keys()
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name, section in sections.items():
        for parameter in COMMANDS[name].params:
            for flag in (flag for flag in parameter.opts if flag.startswith("-")):
                described = re.search(rf"(?m)^`.*`?{flag}`.*\n: \w*[^\n]", section + page)
                assert described, f"{name}: {flag}"
        # Markup of the terminal would be shown as text.
        assert not re.search(r"\[/?(?:bold|dim|italic)\]", section), name


def test_make_entries_shown_exist() -> None:
    entries = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    every = "bench check demo dist docs fuzz help test test-matrix test-slow test-web"
    assert sorted(entries) == every.split()
    for path in DOCUMENTS:
        for entry in re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8")):
            assert entry in {*entries}, f"{name_of(path)}: make {entry}"


def test_the_recipe_for_a_method_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    [code] = re.findall(r"(?s)```python\n(.*?)```", contributing)
    file = tmp_path / "signed_norm.py"
    file.write_text("\n".join(line[3:] for line in code.splitlines()), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("signed_norm", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    methods = {**whyclip.methods.METHODS, module.METHOD.name: module.METHOD}
    monkeypatch.setattr(whyclip.methods, "METHODS", MappingProxyType(methods))
    model = whyclip.wrap(*tiny.openclip_parts())
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    signed = whyclip.explain(model, image, "a dog", method="signed_norm").maps
    clamped = whyclip.explain(model, image, "a dog", method="signed_norm", relu=True).maps
    assert signed is not None
    assert clamped is not None
    assert float(signed.min()) < 0 < float(signed.max())
    assert clamped.equal(signed.clamp(min=0))


KEPT = sorted((ROOT / "benchmarks" / "findings").glob("*.json"))


@pytest.mark.parametrize("kept", KEPT, ids=[path.stem for path in KEPT])
def test_the_findings_are_those_of_the_audits_that_were_kept(kept: Path) -> None:
    from whyclip.studies.audit import Audit
    from whyclip.studies.audit.page import verdict_table

    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    [shown] = re.findall(rf"(?s)<!-- begin {kept.stem} -->(.*?)<!-- end {kept.stem} -->", page)
    assert verdict_table(Audit.load(kept)).to_markdown().strip() in shown


def test_each_verdict_on_a_claim_is_printed_once() -> None:
    verdict = re.compile(r"(?m)^- .*\*\*(?:pass|fail|inconclusive)\*\*.*$")
    lines = [
        (line, name_of(path))
        for path in DOCUMENTS
        for line in verdict.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(lines) >= 30
    assert {page for _, page in lines} == {"docs/reproduce.md"}
    assert len({line for line, _ in lines}) == len(lines)


def test_the_weights_of_one_training_are_shown_as_measured() -> None:
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
    [shown] = re.findall(r"(?s)<!-- begin strength -->(.*?)<!-- end strength -->", page)
    kept = json.loads((ROOT / "benchmarks" / "strength.json").read_text(encoding="utf-8"))
    shares, on_object = [], []
    for step, methods in kept["weights"].items():
        right, wrong = (
            methods["grad_eclip"][kind]["energy in mask"] for kind in ("right", "wrong")
        )
        number = right["n"] + wrong["n"]
        shares.append(right["n"] / number)
        on_object.append((right["share"] * right["n"] + wrong["share"] * wrong["n"]) / number)
        assert f"| {step} | {shares[-1]:.3f} | {on_object[-1]:.3f} |" in shown
    places = [np.argsort(np.argsort(row)) for row in (shares, on_object)]
    follows = np.corrcoef(*places)[0, 1]
    assert f"| rank correlation with recall | – | {follows:.3f} |" in shown


def test_the_model_card_shows_what_was_measured() -> None:
    card = (ROOT / "MODEL_CARD.md").read_text(encoding="utf-8")
    kept = {
        name: json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("mini", "mini_truth")
    }
    shown = 0
    for part in ("unseen scenes", "object-style pairs never trained on"):
        _, _, table = card.partition(f"| question, {part} |")
        rows = table.partition("<!-- end")[0]
        for name, f in kept["mini"][part].items():
            low, share, high = (f"{100 * f[key]:.1f}" for key in ("low", "share", "high"))
            assert f"| {name} | {share} | {low} – {high} | {f['n']} |" in rows
            shown += 1
    for method, groups in kept["mini_truth"]["methods"].items():
        for phrases, questions in groups.items():
            for name, f in questions.items():
                row = f"| {method} | {phrases} | {name} | {100 * f['share']:.1f} | {f['n']} |"
                assert row in card
                shown += 1
    assert shown >= 30
    assert f"all {kept['mini']['concepts']} concepts" in card
