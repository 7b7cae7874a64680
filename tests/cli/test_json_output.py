"""``--json`` of every command: one line that follows its schema, and nothing else."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer

from whyclip.cli import app
from whyclip.cli.terminal import emit, loudness

Run = Callable[..., Any]
ROOT = Path(__file__).parent.parent.parent
SCHEMAS = ROOT / "docs" / "schemas"
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
SILENT = {"web"}


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))


def checked(name: str, out: str) -> Any:
    [line] = out.splitlines()
    record = json.loads(line)
    jsonschema.validate(record, schema(name))
    return record


def test_every_command_has_the_option_and_a_schema() -> None:
    with_json = {
        name
        for name, command in COMMANDS.items()
        if "--json" in {flag for parameter in command.params for flag in parameter.opts}
    }
    assert with_json == set(COMMANDS) - SILENT
    kept = {path.stem for path in SCHEMAS.glob("*.json")}
    assert kept == with_json | {"bundle"}
    for name in kept:
        jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize(
    "line",
    [
        ["explain", "IMAGE", "a dog", "a red car"],
        ["compare", "IMAGE", "a dog", "--methods", "grad_eclip,contribution", "--out", "OUT.png"],
        ["figure", "IMAGE", "a dog", "--dpi", "40", "--out", "OUT.svg"],
        ["interaction", "IMAGE", "a red car", "--against", "a dog"],
        ["edits", "IMAGE", "a red car"],
        ["reference", "IMAGE", "--out", "OUT.npz"],
    ],
    ids=lambda line: line[0],
)
def test_a_command_prints_one_record(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path, line: list[str]
) -> None:
    names = {"IMAGE": str(picture)}
    arguments = [names.get(one, one.replace("OUT", str(tmp_path / "out"))) for one in line]
    done = whyclip_command(*arguments, "--model", folder, "--json")
    assert done.code == 0, done.err
    record = checked(line[0], done.out)
    assert all(Path(file).is_file() for file in record.get("files", []))


@pytest.mark.parametrize(
    "line",
    [["methods"], ["methods", "rise"], ["metrics"], ["metrics", "iou"], ["datasets"], ["models"],
     ["reproduce"]],
    ids=" ".join,
)  # fmt: skip
def test_a_list_prints_one_record(whyclip_command: Run, line: list[str]) -> None:
    done = whyclip_command(*line, "--json")
    record = checked(line[0], done.out)
    if len(line) > 1:
        assert list(record) == [line[1]]
    elif line[0] != "models":
        assert len(record) >= 5


def test_bulk_prints_the_run_and_its_report(
    whyclip_command: Run, folder: Path, picture: Path, tmp_path: Path
) -> None:
    prompts, out = tmp_path / "prompts.txt", tmp_path / "run"
    prompts.write_text("a dog\na car\n", encoding="utf-8")
    line = ["bulk", picture, "--prompts", prompts, "--out", out, "--workers", "0"]
    record = checked("bulk", whyclip_command(*line, "--model", folder, "--json").out)
    assert (record["rows"], record["complete"], record["errors"]) == (2, True, [])
    assert all((out / file).is_file() or Path(file).is_file() for file in record["files"])
    page = checked("bulk", whyclip_command("bulk", "report", out, "--json").out)
    assert Path(page["report"]).is_file()


def test_regions_prints_its_numbers(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    line = ["regions", "scenes:4", "--model", folder, "--template", "a {}", "--size", "64"]
    done = whyclip_command(*line, "--out", tmp_path / "out", "--json")
    assert done.code == 0, done.err
    record = checked("regions", done.out)
    written = json.loads((tmp_path / "out" / "regions.json").read_text(encoding="utf-8"))
    assert record == {"report": str(tmp_path / "out" / "index.html"), **written}
    with (tmp_path / "out" / "regions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert record["regions"] == len(rows) > 10
    for kind, column in (("boxes", "box"), ("thing masks", "mask")):
        counts = record["kinds"][kind]
        for top in (1, 5):
            classes: dict[str, list[bool]] = {}
            for row in rows:
                classes.setdefault(row["class"], []).append(int(row[f"{column}_rank"]) <= top)
            shares = [sum(right) / len(right) for right in classes.values()]
            assert counts["macc"][f"top{top}"]["mean"] == pytest.approx(sum(shares) / len(shares))
        pairs = Counter((row["class"], row[f"{column}_best"]) for row in rows)
        confused = {pair: number for pair, number in pairs.items() if pair[0] != pair[1]}
        listed = {(one["true"], one["predicted"]): one["regions"] for one in counts["confusions"]}
        assert listed.items() <= confused.items()
        assert list(listed.values()) == sorted(confused.values(), reverse=True)[:10]


def test_evaluate_prints_its_tables(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    done = whyclip_command(
        "evaluate", "--data", "scenes:3", "--model", folder, "--methods", "game,random",
        "--metrics", "iou", "--sides", "image", "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = checked("evaluate", done.out)
    assert Path(record["report"]).is_file()
    rows = [row for table in record["tables"] for row in table["rows"]]
    assert {row["method"] for row in rows} == {"game", "random"}
    assert record["command"].startswith("whyclip evaluate")


def test_audit_prints_its_findings(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    done = whyclip_command(
        "audit", "--model", folder, "--data", "scenes:4", "--no-keep", "--methods", "contribution",
        "--checks", "score_gap", "--limit", 2, "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = checked("audit", done.out)
    assert record["samples"] == 2
    assert {finding["check"] for finding in record["findings"]} == {"score_gap"}
    assert "contribution" in record["methods"]
    written = json.loads((tmp_path / "out" / "audit.json").read_text(encoding="utf-8"))
    assert {name: record[name] for name in written} == written


def test_reproduce_prints_its_findings(whyclip_command: Run, folder: Path, tmp_path: Path) -> None:
    done = whyclip_command(
        "reproduce", "equality", "--data", "scenes:10", "--model", folder, "--limit", "10",
        "--out", tmp_path / "out", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    record = checked("reproduce", done.out)
    assert record["experiment"] == "equality"
    assert record["findings"]
    assert Path(record["report"]).is_file()


def test_an_error_prints_no_record(whyclip_command: Run, folder: Path, picture: Path) -> None:
    done = whyclip_command("compare", picture, "a dog", "--method", "nope", "-m", folder, "--json")
    assert (done.code, done.out) == (2, "")


def test_a_schema_rejects_another_record() -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"model": "mini"}, schema("reference"))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"forms": {}, "families": [], "mini": "mini"}, schema("models"))


def test_what_json_lacks_becomes_null_or_text(capsys: pytest.CaptureFixture[str]) -> None:
    record = {"a": float("nan"), 2: (1, float("inf"), True), "é": Path("x"), "n": None}
    emit(record)
    assert capsys.readouterr().out == ""
    with loudness("normal", json=True):
        emit(record)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert json.loads(printed) == {"a": None, "2": [1, None, True], "é": "x", "n": None}
