"""What the page on evaluating shows works as written."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def test_the_example_in_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")
    [code] = re.findall(r"(?s)## From Python\n\n(.*?)\n\n(?=[A-Z])", page)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(dedent(code).replace("scenes:20", "scenes:2"), names)
    found = names["found"]
    assert found.methods == ("contribution", "λ = 1", "random")
    assert (tmp_path / "report" / "index.html").exists()
