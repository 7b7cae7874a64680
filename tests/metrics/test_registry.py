"""Every metric is declared, documented, and what it declares is true."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from pkgutil import iter_modules

import numpy as np
import pytest
import torch

import whyclip.metrics
from whyclip.errors import OptionError
from whyclip.metrics import METRICS, READINGS, get_metric
from whyclip.types import Word

MODULES = [f"whyclip.metrics.{module.name}" for module in iter_modules(whyclip.metrics.__path__)]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_in_the_docstrings_are_true(module: str) -> None:
    assert doctest.testmod(import_module(module)).failed == 0


@pytest.mark.parametrize("name", METRICS)
def test_the_docstring_says_all(name: str) -> None:
    metric = METRICS[name]
    text = inspect.getdoc(metric.value) or ""
    first = text.partition("\n\n")[0].replace("\n", " ")
    direction = "Higher is better." if metric.higher_is_better else "Lower is better."
    assert first.endswith(direction), first
    assert all(part in text for part in ("Args:", "Returns:", "Example:", ">>>"))
    assert metric.source
    assert metric.title
    assert metric.summary == text.splitlines()[0]
    assert set(metric.readings) <= set(READINGS)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_asks_the_model_or_the_truth(name: str) -> None:
    metric = METRICS[name]
    asks = "score" in metric.needs
    assert asks == (metric.edits is not None) == bool(metric.readings) != ("mask" in metric.needs)
    if not asks:
        with pytest.raises(TypeError, match=name):
            metric.measure(torch.rand(2, 2), score=len)
        return
    inputs = (
        ("a dog", [Word("a", 0, 1, 0.1), Word("dog", 2, 5, 0.5)])
        if metric.side == "text"
        else (np.full((16, 16, 3), 9, np.uint8), np.arange(256.0).reshape(16, 16))
    )
    more = {"background": np.zeros((16, 16, 3), np.uint8)} if "background" in metric.needs else {}
    edits = metric.edits(*inputs, seed=3, **more)
    assert edits.amounts.dtype == torch.float32
    assert len(list(edits)) == len(edits) == len(edits.amounts)
    columns = metric.value(edits.amounts, torch.rand(len(edits), 4))
    assert columns.shape == (4,)


def test_an_unknown_metric_names_the_nearest() -> None:
    assert get_metric("iou") is METRICS["iou"]
    with pytest.raises(OptionError, match="did you mean deletion"):
        get_metric("deletio")
    with pytest.raises(TypeError):
        METRICS["mine"] = METRICS["iou"]  # type: ignore[index]
