"""A method with its options: one spelling, checked options, and results by label."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch

import families
import tiny
import whyclip
from whyclip import Variant
from whyclip.errors import OptionError
from whyclip.methods import METHODS, Relevance
from whyclip.selection import obstacles, select_variants, variants_of

VIEW = whyclip.wrap(*tiny.openclip_parts())
PROMPTS = ["a dog", "two red cars"]
SINGLE = "grad_eclip:heads=single"


def explained(method: Any, **options: Any) -> whyclip.Explanation:
    return whyclip.explain(VIEW, families.picture(), PROMPTS, method=method, **options)


@pytest.mark.parametrize("name", METHODS)
def test_every_spelling_is_read_back(name: str) -> None:
    variant = Variant(METHODS[name], METHODS[name].options)
    assert Variant.of(variant.spelling) == variant
    assert variant.settings == METHODS[name].options
    assert Variant.of(name).label == name
    for option, choices in METHODS[name].choices.items():
        for choice in choices:
            one = Variant(METHODS[name], {option: choice})
            assert Variant.of(one.spelling).options == {option: choice}


def test_the_spelling_of_earlier_versions_is_read() -> None:
    old = Variant.of("grad_eclip[heads=single,relu=False]")
    assert old.options == {"heads": "single", "relu": False}
    assert old.label == "grad_eclip:heads=single:relu=false"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("grad_clip", "did you mean grad_eclip"),
        ("grad_eclip:head=single", "did you mean heads"),
        ("grad_eclip:heads", "is not KEY=VALUE"),
        ("grad_eclip:heads=double", "known: 'native', 'single'"),
        ("grad_eclip:relu=perhaps", "true or false"),
        ("maskclip:", "is not KEY=VALUE"),
        (3, "unknown method 3"),
        (None, "unknown method None"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(given: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Variant.of(given)


def test_options_are_checked_when_a_variant_is_made() -> None:
    with pytest.raises(OptionError, match="heads='double'"):
        Variant(METHODS["grad_eclip"], {"heads": "double"})


def test_a_spelling_explains_as_its_options_do() -> None:
    one, other = explained(SINGLE), explained("grad_eclip", heads="single")
    assert one == other
    assert one.method == "grad_eclip"
    assert one.options["heads"] == "single"
    assert explained(Variant.of(SINGLE), relu=False) == explained(
        "grad_eclip", heads="single", relu=False
    )
    assert copy.deepcopy(one) == pickle.loads(pickle.dumps(replace(one, image=None)))


def test_two_variants_of_one_method_are_compared_by_label() -> None:
    comparison = whyclip.compare(VIEW, [families.picture()], PROMPTS, ["grad_eclip", SINGLE])
    assert list(comparison) == ["grad_eclip", SINGLE]
    assert comparison[SINGLE][0] == explained("grad_eclip", heads="single")
    assert comparison["grad_eclip"][0] == explained("grad_eclip")
    labelled = whyclip.compare(
        VIEW,
        [families.picture()],
        PROMPTS,
        {"own heads": "grad_eclip", "one head": SINGLE, "maskclip": {"key_weight": True}},
    )
    assert list(labelled) == ["own heads", "one head", "maskclip"]
    assert labelled["one head"] == comparison[SINGLE]
    assert labelled["maskclip"][0] == explained("maskclip", key_weight=True)
    with pytest.raises(OptionError, match="'grad_eclip' is given twice; give its variants"):
        whyclip.compare(VIEW, [families.picture()], PROMPTS, ["grad_eclip", "grad_eclip"])


def test_a_method_of_ones_own_works_without_a_name_in_the_registry() -> None:
    def constant(forward_pass: Any, *, value: float = 1.0) -> Relevance:
        shape = (
            len(forward_pass.embedding),
            len(forward_pass.targets),
            forward_pass.content_mask.shape[1],
        )
        return Relevance(torch.full(shape, value), forward_pass.embedding)

    mine = replace(METHODS["random"], name="mine", relevance=constant)
    assert "mine" not in METHODS
    assert explained(mine, value=2.0).maps.eq(2).all()  # type: ignore[union-attr]
    comparison = whyclip.compare(
        VIEW, [families.picture()], PROMPTS, [mine, Variant(mine, {"value": 3})]
    )
    assert list(comparison) == ["mine", "mine:value=3"]


@pytest.mark.parametrize("kind", ["partial", "object", "unknown type"])
def test_functions_of_any_kind_have_options(kind: str) -> None:
    def constant(forward_pass: Any, shift: float, *, value: float = 1.0) -> Relevance:
        shape = (
            len(forward_pass.embedding),
            len(forward_pass.targets),
            forward_pass.content_mask.shape[1],
        )
        return Relevance(torch.full(shape, value + shift), forward_pass.embedding)

    class Constant:
        def __call__(self, forward_pass: Any, *, value: float = 1.0) -> Relevance:
            return constant(forward_pass, 0.5, value=value)

    def vague(forward_pass: Any, *, value: Nowhere = 1.0) -> Relevance:  # type: ignore[name-defined] # noqa: F821
        return constant(forward_pass, 0.5, value=value)

    function = {
        "partial": partial(constant, shift=0.5),
        "object": Constant(),
        "unknown type": vague,
    }
    mine = replace(METHODS["random"], name="mine", relevance=function[kind])
    assert explained(mine, value=2.0).maps.eq(2.5).all()  # type: ignore[union-attr]
    if kind != "unknown type":
        with pytest.raises(OptionError, match="value='2' of mine: give a number"):
            explained(mine, value="2")


def test_a_selection_says_why_a_side_is_left_out() -> None:
    view = whyclip.wrap(*families.SMALL["vit-average"]())
    variants, left_out = select_variants(view, ["game", "maskclip", "occlusion"])
    assert {variant.label: variant.sides for variant in variants} == {
        "game": ("text",),
        "occlusion": METHODS["occlusion"].sides,
    }
    [(reason, names)] = left_out.items()
    assert "averages" in reason
    assert names == ("game (image side)", "maskclip")
    assert obstacles(view, Variant.of("occlusion"))["image"] == ""


def test_one_method_or_several_are_read() -> None:
    assert [v.label for v in variants_of("game")] == ["game"]
    assert [v.label for v in variants_of((METHODS["game"], SINGLE))] == ["game", SINGLE]
