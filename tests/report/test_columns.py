"""Neighbouring columns of a report's tables keep apart, whatever their kinds."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import pytest

CSS = (files("whyclip") / "report" / "report.css").read_text(encoding="utf-8")
KINDS = ("td", "td.number")


def sides(kind: str) -> dict[str, int]:
    """Left and right padding of a cell in pixels, by the last rule of the highest weight."""
    selectors = [".report td"] + [".report .number"] * kind.endswith(".number")
    padding = {"left": 0, "right": 0}
    for selector in selectors:
        for chosen, body in re.findall(r"(?m)^([^{}\n]+?) \{ (.*?) \}$", CSS):
            if selector not in [one.strip() for one in chosen.split(",")]:
                continue
            for name, value in re.findall(r"padding(-left|-right)?: ([^;]+);", body):
                lengths = [int(part.removesuffix("px")) for part in value.split()]
                if name:
                    padding[name[1:]] = lengths[0]
                else:
                    right = lengths[1 % len(lengths)] if len(lengths) > 1 else lengths[0]
                    left = lengths[3] if len(lengths) == 4 else right
                    padding = {"left": left, "right": right}
    return padding


@pytest.mark.parametrize(("left", "right"), list(product(KINDS, KINDS)))
def test_there_is_space_between_two_columns(left: str, right: str) -> None:
    assert sides(left)["right"] + sides(right)["left"] >= 12
