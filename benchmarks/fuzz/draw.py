"""Draw prompts, options and other arguments: most are valid, some are invalid."""

from __future__ import annotations

import math
import random
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch

from whyclip.methods import METHODS

# With few perturbations, a slow method takes as long as others.
TINY: dict[str, dict[str, Any]] = {
    "rise": {"masks": 6, "cells": 4},
    "kernel_shap": {"samples": 40, "cells": 3},
    "integrated_gradients": {"steps": 2},
    "m2ib": {"steps": 2, "samples": 2},
    "occlusion": {"window": 2, "stride": 2},
}
WORDS = (
    *("a", "dog", "two", "red", "cars", "photo", "of", "the", "on", "Grass", "snow-man", "it's"),
    *(
        "-5",
        "degrees",
        "?!",
        "3.14",
        "ü",
        "狗",
        "🐕",
        "собака",
        "مرحبا",
        "ﬁn",
        "ﾊﾝ",
        "İ",
        "e\u0301",
    ),
    *("[MASK]", "<end_of_text>", "</s>", "a" * 90, "x@y.z", "\u200b", "\u00ad", "\ufeff", "&amp;"),
)
BAD_PROMPTS: tuple[Any, ...] = (
    *("", " \t\n", "\ud83d", None, 3, 1.5, True, b"dog", [], [[]], [""], [[[["a"]]]], {"a": 1}),
    *(["a", None], [["a", ""]], object, "\x00", ["a", 3], "x" * 20_000, "word " * 3000),
)
BAD_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**20, -(10**20), "2", "", "a\nb\x1b", 1.5, math.nan, math.inf, [1], {}),
    *(b"1", object(), np.float64(2), np.int64(1), torch.tensor(1), 2**63),
)
BAD_NAMES: tuple[Any, ...] = ("", "grad_eclp", "\n\x1b[31m", None, 3, ["maskclip"], {}, "x" * 5000)


class Draw(random.Random):
    """Python's generator with the basic draws of every case."""

    def odds(self, chance: float) -> bool:
        return self.random() < chance

    def array(self) -> np.random.Generator:
        return np.random.default_rng(self.getrandbits(32))


def prompt(draw: Draw) -> str:
    long = 60 if draw.odds(0.04) else 6
    return draw.choice(("", "", " ", "  ")) + draw.choice((" ", " ", "\n", ", ")).join(
        draw.choices(WORDS, k=draw.randint(1, long))
    )


def prompts(draw: Draw) -> Any:
    kind = draw.random()
    if kind < 0.12:
        return draw.choice(BAD_PROMPTS)
    if kind < 0.4:
        return prompt(draw)
    if kind < 0.8:
        return [prompt(draw) for _ in range(draw.randint(1, 4))]
    if kind < 0.9:
        return [[prompt(draw) for _ in range(draw.randint(1, 3))], prompt(draw)]
    if kind < 0.95:
        width = draw.choice((24, 24, 24, 3, 0))
        rows = torch.from_numpy(draw.array().standard_normal((draw.randint(1, 3), width)))
        rows[:, :1] *= draw.choice((1.0, 1.0, 1.0, math.nan, 1e30, 0.0))
        return rows.to(draw.choice((torch.float32, torch.float32, torch.float64, torch.float16)))
    return [prompt(draw) for _ in range(70)] if draw.odds(0.2) else (prompt(draw),) * 2


def method(draw: Draw) -> Any:
    if draw.odds(0.04):
        return draw.choice(BAD_NAMES)
    if draw.odds(0.15):
        return None
    name = draw.choice(list(METHODS))
    # Slow methods are drawn a third as often as others.
    return name if not METHODS[name].slow or draw.odds(0.34) else "grad_eclip"


def options(draw: Draw, name: Any) -> dict[str, Any]:
    if not isinstance(name, str) or name not in METHODS:
        return {}
    values = dict(TINY.get(name, {}))
    for option, hint in METHODS[name].hints.items():
        if draw.odds(0.35):
            values[option] = value(draw, hint, values.get(option))
    if draw.odds(0.02):
        values[draw.choice(("head", "x", "Layers"))] = 1
    return values


def value(draw: Draw, hint: Any, usual: Any) -> Any:
    """Draw a value for an option with this annotation, valid in four of five draws."""
    if draw.odds(0.2):
        return draw.choice(BAD_VALUES)
    if get_origin(hint) is Literal:
        return draw.choice(get_args(hint))
    kinds = get_args(hint) or (hint,)
    if bool in kinds:
        return draw.odds(0.5)
    if float in kinds:
        return draw.choice((0.0, 0.1, 0.5, 1.0, 2, 1e-12, 1e6))
    if type(None) in kinds and draw.odds(0.2):
        return None
    return draw.choice((-3, -2, -1, 0, 1, 2, 3, 7, usual or 2))


def sides(draw: Draw, name: Any) -> Any:
    if draw.odds(0.04):
        return draw.choice(([], ["words"], "image", None, ["image", 3], "text", ["image"] * 2))
    known = METHODS[name].sides if isinstance(name, str) and name in METHODS else ("image", "text")
    return draw.choice((known, known, ("image",), ("text",), ("image", "text")))


def one_of(draw: Draw, good: tuple[Any, ...], chance: float = 0.03) -> Any:
    """Draw one of the valid values, or rarely an invalid one."""
    return draw.choice(BAD_NAMES) if draw.odds(chance) else draw.choice(good)
