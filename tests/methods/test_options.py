"""Every method x every option x values of a wrong type or size: one line, or a finite result."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import families
import tiny
import whyclip
from whyclip.errors import OptionError
from whyclip.methods import METHODS, get_method

VIEW = whyclip.wrap(*tiny.openclip_parts())
IMAGE = families.picture()
WRONG: dict[str, Any] = {
    "huge": 99999999999999999999,
    "huge negative": -(10**20),
    "negative": -7,
    "nan": math.nan,
    "infinite": math.inf,
    "fraction": 1.5,
    "list": [1],
    "tuple": (1, 2),
    "text": "2",
    "long text": "x" * 500,
    "controls": "a\n\x1b[31m\u202e",
    "empty": "",
    "bytes": b"2",
    "mapping": {},
    "class": int,
    "array": np.array([1, 2]),
    "tensor": torch.tensor([1, 2]),
    "object": object(),
    "complex": 1j,
    "bool": True,
    "none": None,
}
OPTIONS = [(method.name, option) for method in METHODS.values() for option in method.options]


@pytest.mark.parametrize(("method", "option"), OPTIONS)
def test_a_wrong_value_is_one_line_or_a_finite_result(method: str, option: str) -> None:
    others = {k: v for k, v in tiny.QUICK.get(method, {}).items() if k != option}
    refused = 0
    for name, value in WRONG.items():
        sides = METHODS[method].sides
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                explanation = whyclip.explain(
                    VIEW, IMAGE, "a dog", method=method, sides=sides, **{**others, option: value}
                )
        except OptionError as error:
            message, refused = str(error), refused + 1
            assert len(message) <= 180, name
            assert message.isprintable(), name
            assert option in message, name
        else:
            assert explanation.maps is None or bool(explanation.maps.isfinite().all()), name
    # At most one truth value, None, a negative layer or a fraction is right for any option.
    assert refused >= len(WRONG) - 4


@pytest.mark.parametrize(("method", "option"), OPTIONS)
def test_the_default_and_its_numpy_twin_are_right(method: str, option: str) -> None:
    default = METHODS[method].options[option]
    assert METHODS[method].complete({option: default}) == METHODS[method].options
    if type(default) in (int, float):
        twin = np.array([default])[0]
        value = METHODS[method].complete({option: twin})[option]
        assert type(value) is type(default)
        assert value == default


@pytest.mark.parametrize("name", WRONG)
def test_a_method_of_a_wrong_type_is_one_line(name: str) -> None:
    with pytest.raises(OptionError, match="unknown method") as caught:
        get_method(WRONG[name])
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("argument", ["geometry", "precision", "sides", "method"])
@pytest.mark.parametrize("name", WRONG)
def test_an_argument_of_a_wrong_type_is_one_line(argument: str, name: str) -> None:
    if argument == "method" and name == "none":
        return
    with pytest.raises(OptionError) as caught:
        whyclip.explain(VIEW, IMAGE, "a dog", **{argument: WRONG[name]})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
