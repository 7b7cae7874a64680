"""Methods with the same values do not differ, and none of them is best."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

import tiny
import whyclip
from pictures import Pictures
from whyclip.data import Sample
from whyclip.evaluation import evaluate, summarise
from whyclip.evaluation.summary import excludes_zero
from whyclip.metrics import FEWEST, Interval


@pytest.mark.parametrize(
    ("low", "high", "differs"),
    [
        (0.0, 0.0, False),
        (0.0, 1.0, False),
        (-1.0, 0.0, False),
        (-1.0, 1.0, False),
        (1e-9, 1.0, True),
        (-1.0, -1e-9, True),
        (math.nan, math.nan, False),
    ],
)
def test_an_interval_that_touches_zero_holds_it(low: float, high: float, differs: bool) -> None:
    assert excludes_zero(Interval((low + high) / 2, low, high, 40, 40)) == differs
    assert not excludes_zero(Interval((low + high) / 2, low, high, 40, FEWEST - 1))


class Many(Pictures):
    """Enough pictures for a verdict."""

    def __len__(self) -> int:
        return FEWEST + 2

    def sample(self, index: int) -> Sample:
        return replace(super().sample(index % super().__len__()), id=str(index), picture="")


def test_of_two_names_for_one_map_none_is_best() -> None:
    """Both ECLIPs give the same map of an OpenCLIP model, by two ways."""
    model = whyclip.wrap(*tiny.openclip_parts())
    found = evaluate(model, Many(), ["attention_eclip", "grad_eclip"], ["iou"])
    lines = summarise(found)
    twins = [line for line in lines if line.method in {"attention_eclip", "grad_eclip"}]
    assert len(twins) == 2
    assert not any(line.best for line in twins)
    for line in twins:
        assert line.value.groups >= FEWEST
        if line.to_best is not None:
            assert not excludes_zero(line.to_best)
