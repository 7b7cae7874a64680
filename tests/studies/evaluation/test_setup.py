"""What is asked for is checked before anything is run, and what is not is filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import families
import tiny
import whyclip
from families_hf import classifier
from pictures import CLASSES, Pictures
from whyclip.datasets import Sample
from whyclip.datasets.dataset import Subset
from whyclip.datasets.folder import Folder
from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.methods import METHODS, Method, Relevance
from whyclip.studies.evaluation import Setup, evaluate, make_setup
from whyclip.variant import Variant

MODEL = whyclip.wrap(*tiny.openclip_parts())


class NoMasks(Pictures):
    def sample(self, index: int) -> Sample:
        sample = super().sample(index)
        return Sample(sample.id, sample.source, sample.labels, sample.prompts)


def setup_of(methods: Any = None, metrics: Any = None, dataset: Any = None, **other: Any) -> Setup:
    return make_setup(MODEL, dataset or Pictures(), methods, metrics, **other)


def test_the_control_is_always_there_and_once() -> None:
    assert setup_of(["maskclip"], ["iou"]).names == ("maskclip", "random")
    assert setup_of(["random", "maskclip"], ["iou"]).names == ("random", "maskclip")
    assert dict(setup_of(["maskclip"], ["iou"], seed=7).methods[1].options) == {"seed": 7}


def test_by_default_every_metric_that_the_data_allows() -> None:
    masked = [metric.name for metric in setup_of().metrics]
    without = [metric.name for metric in setup_of(dataset=NoMasks()).metrics]
    assert {"deletion", "insertion", "word_deletion"} <= set(without)
    assert set(masked) - set(without) == {
        "pointing_game", "energy_pointing", "pixel_accuracy", "iou", "average_precision",
    }  # fmt: skip
    only = setup_of(sides=["text"])
    assert {metric.side for metric in only.metrics} == {"text"}
    assert all(one.sides == ("text",) for one in only.methods)


def test_a_side_without_a_metric_is_not_explained() -> None:
    assert all(one.sides == ("image",) for one in setup_of(metrics=["iou"]).methods)


def test_the_protocol_decides_what_deletion_is() -> None:
    names = [
        metric.name for metric in setup_of(metrics=["deletion", "iou"], protocol="rise").metrics
    ]
    assert names == ["deletion_rise", "iou"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "method": ({"methods": ["grad_eclipp"]}, "grad_eclip"),
    "metric": ({"metrics": ["iuo"]}, "unknown metric 'iuo'"),
    "option": ({"methods": {"grad_eclip": {"spacial": "none"}}}, "spatial"),
    "value": ({"methods": {"grad_eclip": {"spatial": "some"}}}, "'some'"),
    "twice": ({"methods": ["game", "game"]}, "'game' is given twice"),
    "prompt": ({"prompt": "true"}, "unknown prompt 'true'"),
    "protocol": ({"protocol": "rices"}, "unknown protocol 'rices'"),
    "side": ({"sides": ["left"]}, "unknown side 'left'"),
    "geometry": ({"geometry": "wide"}, "unknown geometry"),
    "masks": ({"metrics": ["iou"], "dataset": NoMasks()}, "'iou' needs masks"),
    "side of a metric": ({"metrics": ["word_deletion"], "sides": ["image"]}, "text side"),
    "side of a method": (
        {"methods": ["maskclip"], "metrics": ["word_deletion"]}, "explains the image side",
    ),
    "no reader": (
        {"methods": ["maskclip"], "metrics": ["iou", "word_deletion"]}, "none of maskclip explains",
    ),
    "layers": ({"methods": {"grad_eclip": {"layers": 9}}}, "layers=9"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_had_is_said_in_one_line(what: str) -> None:
    options, message = WRONG[what]
    with pytest.raises(OptionError) as caught:
        setup_of(**options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_has_something_in_it(batch_size: int) -> None:
    with pytest.raises(OptionError, match=f"batch_size={batch_size}"):
        evaluate(MODEL, Pictures(), batch_size=batch_size)


def test_a_method_of_ones_own_is_measured() -> None:
    def centre(forward_pass: Any) -> Relevance:
        grid = forward_pass.embedding.new_zeros(
            len(forward_pass.inputs), len(forward_pass.targets), 17
        )
        grid[:, :, 1 + 5] = 1.0
        return Relevance(grid, forward_pass.embedding)

    method = Method(
        "centre", "Centre", "here", centre, text_specific=False, signed=False, cost="1",
        explains="nothing", sides=("image",),
    )  # fmt: skip
    result = evaluate(MODEL, Pictures(), [method, Variant(method, label="b")], ["energy_pointing"])
    assert result.methods == ("centre", "b", "random")
    first, second = (result.values(name, "energy_pointing") for name in ("centre", "b"))
    assert first == pytest.approx(second, nan_ok=True)
    assert "centre" not in METHODS


def test_a_plain_classifier_is_asked_by_the_names_of_its_classes() -> None:
    model = whyclip.wrap(*classifier([*CLASSES, "none of these"]), None, "vit")
    result = evaluate(model, Pictures(), ["grad_eclip"], ["deletion", "iou"])
    assert {subject.prompt for subject in result.subjects} <= set(CLASSES)
    sample = Pictures()[0]
    explanation = whyclip.explain(model, sample.image, list(sample.labels))
    for i, label in enumerate(sample.labels):
        first = result.records[0].measured[i].curves["grad_eclip", "deletion", "score"][0]
        assert first == pytest.approx(explanation.certificate.score_model[i], abs=1e-4), label
    with pytest.raises(OptionError, match="text side"):
        make_setup(model, Pictures(), ["grad_eclip"], ["word_deletion"])


def test_an_opaque_tower_leaves_the_methods_that_change_the_input() -> None:
    model = whyclip.wrap(*families.SMALL["vit-average"]())
    assert make_setup(model, Pictures(), None, ["iou"]).names == ("random",)
    assert make_setup(model, Pictures(), ["rise"], ["iou"]).names == ("rise", "random")
    with pytest.raises(UnsupportedModelError, match="grad_eclip"):
        make_setup(model, Pictures(), ["grad_eclip"], ["iou"])


def test_how_many_are_drawn_does_not_change_the_metrics(tmp_path: Path) -> None:
    # No picture is opened to see what can be measured.
    rows = ["a.png,dog,"] * 60 + ["b.png,cat,mask.png"] * 9
    (tmp_path / "index.csv").write_text("\n".join(["image,label,mask", *rows]))
    dataset = Folder(tmp_path)
    few = Subset(dataset, 3, seed=1)
    assert max(few.numbers) < 60
    names = [[metric.name for metric in setup_of(dataset=data).metrics] for data in (dataset, few)]
    assert names[0] == names[1]
    assert "iou" in names[0]
