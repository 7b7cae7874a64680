"""Lines that a user can meet and that no other quick test runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image

import tiny
import whyclip
from pictures import Pictures
from whyclip.errors import OptionError, OutputError, PromptError, UnsupportedModelError
from whyclip.inputs import read_image
from whyclip.metrics import Interval
from whyclip.metrics.curve import trapezoid
from whyclip.studies.evaluation import evaluate
from whyclip.studies.evaluation.setup import make_setup


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_bool_arrays_are_black_and_white(as_tensor: bool) -> None:
    drawn = noise(6, 9) > 90
    given: Any = torch.from_numpy(drawn) if as_tensor else drawn
    pixels = np.asarray(read_image(given))
    np.testing.assert_array_equal(pixels, np.where(drawn, 255, 0)[..., None].repeat(3, 2))


def test_words_alone_have_no_heat_map(view: whyclip.ModelView) -> None:
    words = whyclip.explain(view, noise(40, 48, 3), "a dog", sides=["text"])
    with pytest.raises(OutputError, match=r"no map, only sides \('text',\)") as caught:
        words.heatmap()
    assert "\n" not in str(caught.value)


def test_a_prompt_of_which_the_tokenizer_leaves_nothing_has_no_interaction() -> None:
    model, preprocess, _ = tiny.openclip_parts()
    plain = SimpleTokenizer(context_length=tiny.CONTEXT, clean="canonicalize")
    view = whyclip.wrap(model, preprocess, plain)
    with pytest.raises(PromptError, match="no words"):
        whyclip.interaction(view, noise(40, 48, 3), "?!")


def test_a_method_without_options_says_so(view: whyclip.ModelView) -> None:
    with pytest.raises(OptionError, match="'patch_text' has no options, got layers=1"):
        whyclip.explain(view, noise(40, 48, 3), "a dog", method="patch_text", layers=1)


def test_one_name_stands_for_a_list_of_one(view: whyclip.ModelView) -> None:
    one, many = (
        make_setup(view, Pictures(), methods, metrics)
        for methods, metrics in (("grad_eclip", "iou"), (["grad_eclip"], ["iou"]))
    )
    assert one == many
    assert [plan.method.name for plan in one.methods] == ["grad_eclip", "random"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["iou"], "sides": ["text"]}, "metric 'iou' evaluates the image side"),
        ({"methods": ["maskclip"], "sides": ["text"]}, "'maskclip' explains the image side, but"),
        ({"methods": ["leave_one_out"], "metrics": ["iou"]}, "leave_one_out"),
        ({"sides": []}, "side"),
        ({"batch_size": 0}, "batch_size=0"),
    ],
    ids=str,
)
def test_evaluations_that_cannot_be_are_refused_before_they_begin(
    view: whyclip.ModelView, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        evaluate(view, Pictures(), **{"methods": ["grad_eclip"], **options})
    assert "\n" not in str(caught.value)


def test_an_empty_dataset_is_refused(view: whyclip.ModelView) -> None:
    class Empty(Pictures):
        def __len__(self) -> int:
            return 0

    with pytest.raises(OptionError, match="no samples"):
        evaluate(view, Empty(), ["grad_eclip"], ["iou"])


def test_a_curve_of_one_point_is_its_own_area() -> None:
    scores = torch.tensor([[0.25, -1.0]])
    assert trapezoid(torch.tensor([0.5]), scores).tolist() == scores[0].tolist()


def test_an_interval_is_written_with_its_bounds_and_number() -> None:
    assert str(Interval(0.12345, -0.5, 1.0, 12, 6)) == "0.1235 [-0.5, 1], n = 12"


def test_dropout_in_training_mode_is_refused() -> None:
    model, processor, tokenizer = tiny.hf_parts(attention_dropout=0.5)
    model.vision_model.train()
    with pytest.raises(UnsupportedModelError, match="eval"):
        whyclip.wrap(model, processor, tokenizer)
    model.eval()
    prompt = whyclip.explain(
        whyclip.wrap(model, processor, tokenizer), Image.fromarray(noise(40, 48, 3)), "a dog"
    )
    assert prompt.certificate.explains_score
