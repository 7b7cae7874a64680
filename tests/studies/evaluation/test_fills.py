"""An evaluation on the true background, with what other fills would have concluded."""

from __future__ import annotations

import pytest

import tiny
import whyclip
from audit_toy import Toy
from toy_changes import Changeable
from whyclip.errors import OptionError
from whyclip.studies.evaluation import Evaluation, evaluate


def run(data: object, fill: str, **more: object) -> Evaluation:
    view = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    return evaluate(
        view,
        data,  # type: ignore[arg-type]
        ["grad_eclip", "contribution"],
        ["deletion", "insertion"],
        sides=["image"],
        fill=fill,  # type: ignore[arg-type]
        **more,  # type: ignore[arg-type]
    )


def words(evaluation: Evaluation) -> str:
    return " ".join(part for part in evaluation.report().sections if isinstance(part, str))


def test_a_true_background_is_measured_with_black_and_blur_beside_it() -> None:
    evaluation = run(Changeable(3), "background")
    names = {metric.name for metric in evaluation.metrics}
    assert names == {
        "deletion_background",
        "deletion_black",
        "deletion_blurred",
        "insertion_background",
        "insertion",
        "insertion_blurred",
    }
    text = words(evaluation)
    assert "Effect of the fill" in text
    assert "Deletion, black" in text
    assert "Insertion, true background" in text


def test_data_without_a_background_is_refused_by_name() -> None:
    with pytest.raises(OptionError, match="'deletion_background' needs images without"):
        run(Toy(3), "background")
    assert "Effect of the fill" not in words(run(Toy(3), "black"))


def test_fills_are_of_one_protocol() -> None:
    with pytest.raises(OptionError, match="needs protocol 'grad-eclip'"):
        run(Changeable(2), "black", protocol="rise")
    with pytest.raises(OptionError, match="unknown fill"):
        run(Changeable(2), "white")
