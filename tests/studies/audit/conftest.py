"""A seeded model, and a cache of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

import tiny
import whyclip


@pytest.fixture(scope="session")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WHYCLIP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
