"""The ends of what an audit allows: one sample, open parts, bad samples and bad questions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import families
import whyclip
from audit_toy import BLOB, NAMES, Toy
from whyclip.datasets.dataset import Sample
from whyclip.errors import ImageError, InputError, OptionError
from whyclip.methods import METHODS
from whyclip.studies.audit import audit
from whyclip.studies.audit.cases import AuditSetup, explained_case
from whyclip.studies.audit.variants import variants_by_label
from whyclip.studies.candidates import prompt_candidates


class Open(Toy):
    """The upper half of every picture is left open."""

    def sample(self, index: int) -> Sample:
        return replace(super().sample(index), open_parts=upper_half)


def upper_half() -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[:16] = True
    return mask


def located(view: whyclip.ModelView, data: Toy) -> torch.Tensor:
    variants = variants_by_label(view, ["grad_eclip"])
    setup = AuditSetup(view, variants, prompt_candidates(view, data, list(data)))
    return (
        explained_case(setup, data[0], 0).evidence.methods["grad_eclip"].located["energy_pointing"]
    )


def test_open_parts_are_not_counted(view: whyclip.ModelView) -> None:
    sample = Toy(2)[0]
    prompts = [f"a photo of a {name}." for name in NAMES]
    order = whyclip.explain(view, sample.image, prompts).scores.argsort(descending=True).tolist()
    distractor = next(i for i in order if NAMES[i] not in sample.labels)
    texts = [*sample.prompts, prompts[distractor]]
    heat = whyclip.explain(view, sample.image, texts, method="grad_eclip").heatmap(
        interpolation="bilinear"
    )
    assert sample.masks is not None
    masks = [torch.from_numpy(sample.masks[label]) for label in sample.labels]
    for data, counted in ((Toy(2), slice(0, 32)), (Open(2), slice(16, 32))):
        lower = heat[:, counted].clamp(min=0)
        expected = [
            [float(one[mask[counted]].sum() / one.sum()) for mask in masks] for one in lower
        ]
        values = located(view, data)
        torch.testing.assert_close(values, torch.tensor(expected), rtol=1e-4, atol=1e-5)


def test_a_single_sample_is_enough_to_run_and_too_few_to_decide(view: whyclip.ModelView) -> None:
    result = audit(view, Toy(5), ["grad_eclip"], ["score_gap", "deletion"], limit=1)
    assert result.samples == result.edited == 1
    assert {finding.verdict for finding in result.findings} <= {"inconclusive", "not applicable"}
    assert {cell.gap.n for cell in result.cells} == {3}
    assert all(cell.accuracy is not None for cell in result.cells)


def test_a_bad_sample_is_named(view: whyclip.ModelView) -> None:
    def fail(forward_pass: object) -> None:
        raise ImageError("the picture is torn")

    torn = replace(BLOB, name="torn", relevance=fail)
    with pytest.raises(InputError, match=r"none of the 3 samples .*'toy-0': the picture is torn$"):
        audit(view, Toy(3), [torn], ["score_gap"], limit=3)


def test_a_single_prompt_gives_nothing_to_choose_from(view: whyclip.ModelView) -> None:
    class One(Toy):
        def sample(self, index: int) -> Sample:
            return replace(super().sample(index), labels=("it",), prompts=("it",), masks=None)

    with pytest.raises(InputError, match="at least two"):
        audit(view, One(3, labels=False), ["grad_eclip"], ["score_gap"])


def test_a_method_that_cannot_read_the_model_is_refused() -> None:
    blind = whyclip.wrap(*families.SMALL["vit-average"](), name="blind")
    with pytest.raises(OptionError, match="'maskclip' does not support blind"):
        variants_by_label(blind, ["maskclip"])
    # One that can read the texts reads these alone.
    assert variants_by_label(blind, ["grad_eclip"])["grad_eclip"].sides == ("text",)


def test_by_default_every_quick_method_and_the_control_last(view: whyclip.ModelView) -> None:
    # The control is drawn by the seed of the audit, as it is in an evaluation.
    assert variants_by_label(view, ["game"], 3)["random"].settings["seed"] == 3
    names = list(variants_by_label(view, None))
    assert set(names) == {name for name, method in METHODS.items() if not method.slow}
    assert names[-1] == "random"


def test_a_dataset_may_be_given_by_its_name(view: whyclip.ModelView) -> None:
    result = audit(view, "scenes", ["grad_eclip"], ["score_gap"], limit=1)
    assert (result.dataset, result.samples) == ("scenes", 1)
