"""A model and a running page for the tests of ``whyclip web``."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import whyclip
from web_site import Site, serving
from whyclip.models import ModelView


@pytest.fixture(scope="session")
def view() -> ModelView:
    return whyclip.load("mini", "cpu")


@pytest.fixture(scope="session")
def site(view: ModelView) -> Iterator[Site]:
    with serving(view) as running:
        yield running
