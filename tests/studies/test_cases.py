"""The cases of all studies: an image decoded once, and the explanations of ``compare``."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from PIL import Image

import tiny
import whyclip
from audit_toy import Toy
from whyclip.datasets import Sample
from whyclip.selection import variants_of
from whyclip.studies.audit import audit
from whyclip.studies.candidates import class_candidates
from whyclip.studies.cases import CaseSetup
from whyclip.studies.evaluation import evaluate

MODEL = whyclip.wrap(*tiny.openclip_parts(), name="tiny")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often the image of each sample was decoded."""
    times: Counter[str] = Counter()
    decode = Sample.image.fget  # type: ignore[attr-defined]

    def counted(sample: Sample) -> Image.Image:
        times[sample.id] += 1
        image: Image.Image = decode(sample)
        return image

    monkeypatch.setattr(Sample, "image", property(counted))
    return times


def test_an_audit_decodes_each_image_once(decoded: Counter[str]) -> None:
    checks = ["score_gap", "deletion", "localisation_true", "patch_blurred"]
    audit(MODEL, Toy(2), ["contribution"], checks, patches=2)
    assert decoded == {"toy-0": 1, "toy-1": 1}


def test_an_evaluation_decodes_each_image_once(decoded: Counter[str]) -> None:
    evaluate(MODEL, Toy(2), ["contribution"], ["deletion", "word_deletion", "iou"])
    assert decoded == {"toy-0": 1, "toy-1": 1}


def test_a_case_has_the_explanations_of_compare() -> None:
    names, data = ["grad_eclip", "contribution"], Toy(1)
    setup = CaseSetup(MODEL, tuple(variants_of(names)), class_candidates(MODEL, data))
    sample = data[0]
    case = setup.explained(setup.case(sample, lambda sample, _: sample.prompts))
    for name, [explanation] in whyclip.compare(
        MODEL, [sample.image], list(sample.prompts), names
    ).items():
        maps = case.maps(name)
        assert maps is not None
        assert explanation.maps is not None
        assert torch.allclose(maps, explanation.maps, atol=1e-6)
        assert torch.allclose(
            case.heatmap(maps), explanation.heatmap(interpolation="bilinear"), atol=1e-6
        )
        assert case.words(name) == explanation.words
    [classes] = whyclip.compare(
        MODEL, [sample.image], [data.prompt_of(label) for label in data.classes], names[:1]
    )[names[0]]
    assert torch.allclose(case.candidate_scores, classes.scores, atol=1e-6)
