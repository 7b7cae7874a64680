"""Every method alone on every family: it keeps what it reads, and prompts do not disturb another.

A method that is asked beside others finds blocks that those have kept; here there are none. The
towers of some families mask each text by its own padding, so prompts of different length must
still come out as each does alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest
import torch

import families
import tiny
import whyclip
from whyclip.methods import METHODS
from whyclip.selection import select_variants

PROMPTS = ["a dog", "a photo of two cars"]
# Enough to run every line; how good they are at it is no matter here.
QUICK: dict[str, dict[str, Any]] = {
    **tiny.QUICK,
    "rise": {"masks": 20},
    "kernel_shap": {"samples": 32, "cells": 2},
    "integrated_gradients": {"steps": 2},
    "m2ib": {"steps": 2, "samples": 2},
    "occlusion": {"window": 2, "stride": 2},
    # By default these clip what is negative, which of drawn weights may be all there is.
    "attention_eclip": {"relu": False},
    "grad_eclip": {"relu": False},
    "grad_cam": {"relu": False},
}
# By method, options that read other blocks than the default, for towers of four blocks.
DEEP: list[tuple[str, dict[str, Any]]] = [
    ("attention_eclip", {"layers": 3}),
    ("clip_surgery", {"layers": 2}),
    ("contribution", {"layers": 3}),
    ("decomposition", {"start_layer": -2}),
    ("game", {"start_layer": 1}),
    ("grad_eclip", {"layers": 3}),
    ("legrad", {"start_layer": 1}),
    ("m2ib", {"layer": 0}),
    ("m2ib", {"layer": 1}),
    ("rollout", {"start_layer": -2}),
]


@lru_cache(maxsize=4)
def view_of(family: str) -> whyclip.ModelView:
    return whyclip.wrap(*families.SMALL[family](), name=family)


def sides_of(family: str, method: str) -> tuple[str, ...]:
    plans, _ = select_variants(view_of(family), slow=True)
    return {plan.method.name: plan.sides for plan in plans}.get(method, ())


def assert_each_is_as_alone(view: whyclip.ModelView, prompts: list[str], **options: Any) -> None:
    together = whyclip.explain(view, families.picture(), prompts, **options)
    for index, prompt in enumerate(prompts):
        alone = whyclip.explain(view, families.picture(), prompt, **options)
        torch.testing.assert_close(together.scores[index], alone.scores[0], rtol=0, atol=1e-5)
        if "image" in options["sides"]:
            assert together.maps is not None
            assert alone.maps is not None
            close(together.maps[index], alone.maps[0])
        if "text" in options["sides"]:
            ours, theirs = together.words[index], alone.words[0]
            assert [word.text for word in ours] == [word.text for word in theirs] == prompt.split()
            close(*(torch.tensor([word.relevance for word in row]) for row in (ours, theirs)))
        for name, values in alone.certificate.diagnostics.items():
            assert together.certificate.diagnostics[name][index] == pytest.approx(
                values[0], abs=1e-4
            )


def close(one: torch.Tensor, other: torch.Tensor) -> None:
    """Require equality up to rounding, and values that are not all zero."""
    size = float(other.abs().max())
    assert size > 0
    torch.testing.assert_close(one, other, rtol=1e-3, atol=max(1e-4 * size, 1e-7))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", families.SMALL)
def test_prompts_together_are_as_each_alone(family: str, method: str) -> None:
    view, sides = view_of(family), sides_of(family, method)
    if not sides:
        assert family in families.BLIND
        with pytest.raises(whyclip.errors.WhyclipError):
            whyclip.explain(view, families.picture(), PROMPTS, method=method)
        return
    # The decomposition declares which blocks and readouts it cannot take apart.
    some = family in families.BLIND or method == "decomposition"
    assert sides == METHODS[method].sides or some
    options = QUICK.get(method, {})
    assert_each_is_as_alone(view, PROMPTS, method=method, sides=sides, **options)


@pytest.mark.parametrize(("method", "options"), DEEP, ids=str)
@pytest.mark.parametrize("family", ["chinese-clip-deep", "coca-deep"])
def test_layers_in_the_middle_are_read_alike(
    family: str, method: str, options: dict[str, Any]
) -> None:
    view = view_of(family)
    # A pooling head is the only readout; of such a tower only the texts have several layers.
    pooled = view.image.has_pooling_head and "layers" in options and method != "clip_surgery"
    sides = ("text",) if pooled else sides_of(family, method)
    quick = {**QUICK.get(method, {}), **options}
    assert_each_is_as_alone(view, PROMPTS, method=method, sides=sides, **quick)
    default = whyclip.explain(
        view, families.picture(), PROMPTS, method=method, sides=sides, **QUICK.get(method, {})
    )
    explanation = whyclip.explain(
        view, families.picture(), PROMPTS, method=method, sides=sides, **quick
    )
    assert explanation.words != default.words or not torch.equal(explanation.maps, default.maps)


def test_the_deep_families_have_blocks_in_the_middle_and_a_mask_for_each_text() -> None:
    for family in ("chinese-clip-deep", "coca-deep"):
        view = view_of(family)
        assert len(view.text.blocks) == 4
        assert len(view.image.blocks) - view.image.has_pooling_head == 4
        ids = whyclip.inputs.tokenize(view.tokenizer, PROMPTS, view.text.context).ids
        mask = view.text.embed(view.text.trim(ids)).mask
        assert mask is not None
        assert len(mask) == len(PROMPTS)
        assert not torch.equal(mask[0], mask[1])
