"""The numbers of the whole package are those that were kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_the_golden_values_are_unchanged() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.golden", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from benchmarks import golden

    kept = json.loads(golden.RESULT.read_text(encoding="utf-8"))
    assert set(kept) == set(golden.PARTS)
    before = {"a": [1.0, "nan", None], "b": {"c": "holds"}}
    for now, number in (
        ({"a": [1.0001, "nan", None], "b": {"c": "holds"}}, 0),
        ({"a": [1.01, "nan", None], "b": {"c": "holds"}}, 1),
        ({"a": [1.0, 0.0, None], "b": {}}, 2),
        ({"a": [1.0], "b": {"c": "holds"}}, 1),
    ):
        assert len(list(golden.differences(before, now))) == number
