"""The project's own files: they parse, name files that exist, and agree on name and version."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

import whyclip

ROOT = Path(__file__).parent.parent
FILES = [
    ROOT / "CITATION.cff",
    ROOT / ".readthedocs.yaml",
    *sorted((ROOT / ".github").rglob("*.yml")),
]


def parsed(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_parses_into_a_mapping(path: Path) -> None:
    assert isinstance(parsed(path), dict)


def test_the_citation_names_the_papers_and_who_wrote_them() -> None:
    citation = parsed(ROOT / "CITATION.cff")
    assert citation["title"].startswith("whyclip")
    for work in (citation, *citation["references"]):
        assert all(a.get("name") or a.get("family-names") for a in work["authors"])
    cited = {i["value"] for work in citation["references"] for i in work["identifiers"]}
    assert cited == {"arXiv:2502.18816", "arXiv:2605.12952"}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(value.removeprefix("arXiv:") in readme for value in cited)


def test_workflows_run_the_entries_that_people_use() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = [
        step["run"]
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for job in parsed(path)["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    assert any(command == "bash .ci/run" for command in commands)
    for command in commands:
        if script := re.match(r"bash (\S+)", command):
            assert (ROOT / script[1]).is_file()
        elif entry := re.match(r"make ([a-z-]+)", command):
            assert re.search(rf"^{entry[1]}:", makefile, re.M)
        else:
            assert command.startswith("python -m pip install")


def test_read_the_docs_builds_what_make_docs_builds() -> None:
    built = parsed(ROOT / ".readthedocs.yaml")
    assert (ROOT / built["sphinx"]["configuration"]).is_file()
    assert built["sphinx"]["fail_on_warning"]
    for install in built["python"]["install"]:
        extras = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        assert all(
            re.search(rf"^{extra} = \[", extras, re.M) for extra in install["extra_requirements"]
        )


def test_forms_ask_something_under_names_of_their_own() -> None:
    for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"):
        form = parsed(path)
        assert form["name"]
        assert form["description"]
        names = [part["id"] for part in form["body"]]
        assert names
        assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("tag", "code"), [("", 0), (f"v{whyclip.__version__}", 0), ("v0.0.0", 2), ("0.1.0", 2)]
)
def test_a_tag_that_is_not_the_version_is_not_built(tag: str, code: int) -> None:
    command = ["make", "dist", f"TAG={tag}", "PYTHON=true"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=60)
    assert done.returncode == code
