"""Which methods a comparison takes when none is named, and what it says of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from open_clip.transform import image_transform
from torch import nn

import tiny
import whyclip
from families import SMALL, picture
from whyclip.errors import OptionError
from whyclip.methods import METHODS
from whyclip.selection import select_variants

QUICK = {name: method for name, method in METHODS.items() if not method.slow}


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts())


class EnoughError(Exception):
    """No need to count further."""


@pytest.mark.parametrize("name", [name for name in METHODS if "image" in METHODS[name].sides])
def test_slow_is_what_runs_the_tower_dozens_of_times(name: str) -> None:
    """Counted in the model's own MLPs, for one prompt, in a tower as deep as ViT-L."""
    side = 14 * tiny.PATCH
    model = tiny.openclip_model(image_size=side, layers=24)
    view = whyclip.wrap(model, image_transform(side, is_train=False), tiny.openclip_parts()[2])
    blocks: Any = model.visual.transformer.resblocks
    runs = 0.0

    def count(_: nn.Module, inputs: tuple[torch.Tensor, ...], __: Any) -> None:
        nonlocal runs
        runs += inputs[0].numel() / (197 * tiny.WIDTH * len(blocks))
        if runs > 20:
            raise EnoughError

    handles = [block.mlp.register_forward_hook(count) for block in blocks]
    try:
        whyclip.explain(view, picture(side, side), "a dog", method=name, sides=["image"])
    except EnoughError:
        assert METHODS[name].slow
    else:
        assert runs >= 0.9
        assert not METHODS[name].slow
    finally:
        for handle in handles:
            handle.remove()


def test_slow_methods_are_left_out_unless_all_are_asked_for(view: whyclip.ModelView) -> None:
    plans, left_out = select_variants(view)
    assert [plan.method.name for plan in plans] == list(QUICK)
    [reason] = left_out
    assert "'all'" in reason
    assert set(left_out[reason]) == {*METHODS} - {*QUICK}
    plans, left_out = select_variants(view, slow=True)
    assert [plan.method.name for plan in plans] == list(METHODS)
    assert not left_out


def test_without_names_a_comparison_has_them_all(
    view: whyclip.ModelView, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {name: METHODS[name] for name in ("contribution", "leave_one_out")}
    few["occlusion"] = replace(METHODS["occlusion"])
    monkeypatch.setattr("whyclip.selection.METHODS", few)
    inputs = {"images": [picture()], "prompts": ["a dog"]}
    assert list(whyclip.compare(view, **inputs)) == ["contribution", "leave_one_out"]
    assert list(whyclip.compare(view, **inputs, methods="all")) == list(few)
    assert list(whyclip.compare(view, **inputs, methods="contribution")) == ["contribution"]
    # A method of words alone does not make a comparison of maps fail.
    assert list(whyclip.compare(view, **inputs, sides=["image"])) == ["contribution"]
    with pytest.raises(OptionError, match="name 'image', 'text' or both"):
        whyclip.compare(view, **inputs, sides=[])


@pytest.mark.parametrize(
    ("family", "reason", "left", "stays"),
    [
        ("siglip", "pooling head", "decomposition", "contribution"),
        ("vit-average", "no attention pooling in the image encoder: it averages", "game", "random"),
    ],
)
def test_what_cannot_read_a_tower_is_left_out_with_the_reason(
    family: str, reason: str, left: str, stays: str
) -> None:
    plans, left_out = select_variants(whyclip.wrap(*SMALL[family]()), sides=["image"])
    names = [plan.method.name for plan in plans]
    assert stays in names
    assert left not in names
    [said] = [text for text, names in left_out.items() if left in names]
    assert reason in said
    assert "\n" not in said


def test_a_method_left_out_on_one_side_names_the_side() -> None:
    plans, left_out = select_variants(whyclip.wrap(*SMALL["vit-average"]()))
    [game] = [plan for plan in plans if plan.method.name == "game"]
    assert game.sides == ("text",)
    [names] = [names for text, names in left_out.items() if "averages" in text]
    assert "game (image side)" in names
    assert "maskclip" in names
