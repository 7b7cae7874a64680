"""What is saved comes back whole: every field, of every method, geometry, precision and ending.

Whole dataclasses are compared, so that a field that somebody adds is compared as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import tiny
import whyclip
from whyclip.audit_index import AuditLink, Audits
from whyclip.files import write_atomic
from whyclip.match import Match, Standing, Threshold
from whyclip.methods import METHODS
from whyclip.storage import READABLE
from whyclip.types import GeometryName, Precision

PROMPTS = ["a dog", ["a photo of a cat", "two cats"]]
QUICK = {
    **tiny.QUICK,
    "rise": {"masks": 20},
    "kernel_shap": {"samples": 20, "cells": 2},
    "m2ib": {"steps": 2, "samples": 2},
}
GEOMETRIES: tuple[GeometryName, ...] = ("model", "keep", "pad")
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
VERDICTS = {"text": {"fidelity": "fail", "consistency": "pass"}}
LINK = AuditLink("2026-01-02T03:04:05Z", "scenes", 60, VERDICTS, ("a check",), "audit.json")


@lru_cache(maxsize=1)
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def picture(width: int = 64, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@cache
def explained(geometry: GeometryName, precision: Precision) -> dict[str, whyclip.Explanation]:
    methods = {name: QUICK.get(name, {}) for name in METHODS}
    comparison = whyclip.compare(
        view(), [picture()], PROMPTS, methods, geometry=geometry, precision=precision
    )
    return {name: one for name, [one] in comparison.items()}


def differences(one: Any, other: Any, where: str) -> Iterator[str]:
    """Name every field in which two values differ, by value or by kind."""
    if type(one) is not type(other):
        yield f"{where}: {type(one).__name__} is {type(other).__name__}"
    elif isinstance(one, Tensor):
        if one.dtype != other.dtype or not torch.equal(one, other):
            yield where
    elif isinstance(one, Image.Image):
        if not np.array_equal(np.asarray(one), np.asarray(other)):
            yield where
    elif is_dataclass(one):
        for field in fields(one):
            values = getattr(one, field.name), getattr(other, field.name)
            yield from differences(*values, f"{where}.{field.name}")
    elif isinstance(one, tuple | list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{where}[{index}]")
    elif isinstance(one, dict) and list(one) == list(other):
        for key in one:
            yield from differences(one[key], other[key], f"{where}[{key!r}]")
    elif one != other:
        yield f"{where}: {one!r} is {other!r}"


def lost(explanation: whyclip.Explanation, path: Path) -> list[str]:
    """What of an explanation does not come back; JSON alone is without its picture."""
    if path.suffix.lower() == ".json":
        explanation = replace(explanation, image=None)
    explanation = replace(explanation, options=dict(explanation.options))
    again = whyclip.load_explanation(explanation.save(path))
    return list(differences(explanation, again, "explanation"))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("method", METHODS)
def test_everything_comes_back(
    method: str, geometry: GeometryName, precision: Precision, tmp_path: Path
) -> None:
    explanation = explained(geometry, precision)[method]
    certificate = explanation.certificate
    assert certificate.precision == precision
    # Words explain the score of the prepared image, too.
    assert bool(certificate.modified_input) == (geometry != "model")
    for ending in READABLE:
        assert lost(explanation, tmp_path / f"why{ending}") == []
        again = whyclip.load_explanation(tmp_path / f"why{ending}").certificate
        assert (str(again), again.verdict) == (str(certificate), certificate.verdict)


def full() -> whyclip.Explanation:
    """An explanation of which no field is as it would be if nobody had set it."""
    explanation = whyclip.explain(
        view(),
        picture(),
        PROMPTS,
        against=["a tree", ["a car", "the car"]],
        geometry="keep",
        precision="bf16",
        heads="single",
        method="grad_eclip",
    )
    certificate = replace(
        explanation.certificate,
        diagnostics={"gap, image side": (0.25, -0.5)},
        input="pixels",
    )
    return replace(
        explanation,
        certificate=certificate,
        audits=Audits(known=LINK),
        notes=("unlike what it was trained on",),
        methods={"image": "grad_eclip", "text": "decomposition"},
        matches=(
            Match(
                0.25,
                Standing(99.5, 2.5, 1000, 0.125, 0.0625),
                Standing(40.0, None, 20, 0.25, 0.0),
                (("a cow", 0.5), ("water", 0.125)),
                ("blorf", 0.0625),
                Threshold(0.5, 0.05, 0.025, 0.1, 0.95, 20, 0.75),
                "everyday words",
                0.625,
            ),
            Match(0.5, None, None),
        ),
    )


@pytest.mark.parametrize("ending", READABLE)
def test_every_field_comes_back(ending: str, tmp_path: Path) -> None:
    explanation = full()
    for one in (explanation, explanation.certificate):
        for field in fields(one):
            factory = field.default_factory
            usual = factory() if factory is not MISSING else field.default
            same = usual is not MISSING and getattr(one, field.name) == usual
            assert not same, f"give {field.name} a value of its own in full()"
    assert lost(explanation, tmp_path / f"why{ending}") == []


@pytest.mark.parametrize("sides", [["image"], ["text"], ["image", "text"]])
def test_the_default_methods_and_single_sides_come_back(sides: Any, tmp_path: Path) -> None:
    explanation = whyclip.explain(view(), picture(), PROMPTS, sides=sides)
    for ending in READABLE:
        assert lost(explanation, tmp_path / f"why{ending}") == []


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_interactions_come_back(geometry: GeometryName, tmp_path: Path) -> None:
    interaction = whyclip.interaction(view(), picture(), "a red dog", geometry=geometry)
    for ending in READABLE:
        assert lost(interaction.explanation, tmp_path / f"why{ending}") == []


@pytest.mark.parametrize("ending", [e.upper() for e in READABLE] + [".Json", ".SafeTensors"])
def test_the_case_of_an_ending_does_not_matter(ending: str, tmp_path: Path) -> None:
    assert lost(explained("model", "fp32")["grad_eclip"], tmp_path / f"why{ending}") == []


@pytest.mark.parametrize("ending", READABLE)
def test_an_explanation_without_its_picture_comes_back(ending: str, tmp_path: Path) -> None:
    explanation = replace(explained("model", "fp32")["grad_eclip"], image=None)
    assert lost(explanation, tmp_path / f"why{ending}") == []
    assert whyclip.load_explanation(tmp_path / f"why{ending}").image is None


def test_a_lost_field_is_found(tmp_path: Path) -> None:
    explanation = full()
    for name in ("modified_input", "diagnostics", "tolerance", "precision"):
        usual = {f.name: f for f in fields(explanation.certificate)}[name]
        value = usual.default if usual.default is not MISSING else {}
        certificate = replace(explanation.certificate, **{name: value})
        changed = replace(explanation, certificate=certificate)
        [difference] = differences(explanation, changed, "explanation")
        assert f"certificate.{name}" in difference


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_mode_that_the_umask_leaves(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        saved = explained("model", "fp32")["grad_eclip"].save(tmp_path / "why.json")
        write_atomic(tmp_path / "bytes", lambda: b"x")
        kept = os.umask(umask)
    finally:
        os.umask(before)
    assert kept == umask
    for path in (saved, tmp_path / "bytes"):
        assert path.stat().st_mode & 0o777 == mode
