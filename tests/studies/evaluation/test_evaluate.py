"""The runner gives what a plain loop over samples, methods and metrics gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

import tiny
import whyclip
from pictures import CLASSES, Pictures
from whyclip.datasets import Sample
from whyclip.metrics import METRICS
from whyclip.studies.evaluation import Evaluation, evaluate
from whyclip.variant import Variant

# The images of these tests have no known background.
EVERY = [name for name, metric in METRICS.items() if "background" not in metric.needs]
SEED = 3
METHODS = {"grad_eclip": {"spatial": "none"}, "maskclip": {}, "random": {"seed": SEED}}
PARTS = tiny.openclip_parts()
MODEL = whyclip.wrap(*PARTS)


def texts(*written: str) -> Tensor:
    """Unit embeddings by the library alone."""
    with torch.no_grad():
        return F.normalize(PARTS[0].encode_text(PARTS[2](list(written))), dim=-1)


def pictures(items: list[Any]) -> Tensor:
    """Unit embeddings by the library alone, one at a time."""
    with torch.no_grad():
        embeddings = [
            PARTS[0].encode_image(PARTS[1](Image.fromarray(np.asarray(i)))[None]) for i in items
        ]
    return F.normalize(torch.cat(embeddings), dim=-1)


def reading(read: str, prompt: str, truth: int, explained: int, bank: Tensor) -> Callable[..., Any]:
    """From edited pictures to the number that a metric reads, written out."""

    def score(batch: list[Any]) -> Tensor:
        unit = pictures(batch)
        if read == "score":
            return unit @ texts(prompt)[0]
        logits = unit @ bank.T
        if read == "probability":
            scale = PARTS[0].logit_scale.exp().item()
            return (scale * logits).softmax(-1)[:, explained]
        k = int(read[3:])
        best = logits.argsort(-1, descending=True)[:, :k]
        return torch.tensor([float(truth in row.tolist()) for row in best])

    return score


def expected(
    sample: Sample, prompts: list[tuple[str, str, int]], bank: Tensor
) -> dict[tuple[str, str, str, str], float]:
    """All values of a sample by a plain loop; prompts are (label, text, explained class)."""
    values: dict[tuple[str, str, str, str], float] = {}
    for name, options in METHODS.items():
        explanation = whyclip.explain(
            MODEL, sample.image, [text for _, text, _ in prompts], method=name, **options
        )
        for index, (label, text, explained) in enumerate(prompts):
            heat = explanation.heatmap(interpolation="bilinear")[index]
            truth = CLASSES.index(label)
            for metric in map(METRICS.__getitem__, EVERY):
                if metric.needs == ("mask",):
                    value = float("nan")
                    if sample.masks is not None:
                        laid = heat.clone()
                        if sample.ignored is not None:
                            laid[torch.from_numpy(sample.ignored)] = float("nan")
                        value = float(metric.value(laid, torch.from_numpy(sample.masks[label])))
                    values[label, name, metric.name, ""] = value
                elif metric.side == "text":
                    if explanation.words[index]:
                        image = pictures([sample.image])[0]
                        value = metric.measure(
                            text,
                            explanation.words[index],
                            score=lambda batch, image=image: texts(*batch) @ image,
                            seed=SEED,
                        )
                        values[label, name, metric.name, "score"] = float(value)
                else:
                    for read in metric.readings:
                        score = reading(read, text, truth, explained, bank)
                        value = metric.measure(sample.image, heat, score=score, seed=SEED)
                        values[label, name, metric.name, read] = float(value)
    return values


def found_values(result: Evaluation, sample: Sample) -> dict[tuple[str, str, str, str], float]:
    return {
        (row.label, row.method, row.metric, row.read): row.value
        for row in result.rows
        if row.sample == sample.id
    }


TEMPLATES = ("a photo of a {}.", "a bad drawing of one {}", "{}")


def class_bank() -> Tensor:
    means = [texts(*(t.format(name) for t in TEMPLATES)).mean(0) for name in CLASSES]
    return F.normalize(torch.stack(means), dim=-1)


@pytest.fixture(scope="module")
def whole() -> Evaluation:
    return evaluate(MODEL, Pictures(TEMPLATES), METHODS, EVERY, seed=SEED)


def test_every_value_is_that_of_a_plain_loop(whole: Evaluation) -> None:
    bank = class_bank()
    for sample in (Pictures()[i] for i in (1, 3, 4)):
        requests = [
            (label, text, CLASSES.index(label))
            for label, text in zip(sample.labels, sample.prompts, strict=True)
        ]
        plain, values = expected(sample, requests, bank), found_values(whole, sample)
        assert values.keys() == plain.keys()
        assert values == pytest.approx(plain, abs=2e-5, nan_ok=True)
        assert len(values) == len(requests) * (3 * (6 + 2 * 14 + 2 + 2) + 2 * 2)


def test_right_is_to_be_among_the_best_as_many_as_there_are_labels(whole: Evaluation) -> None:
    bank, index = class_bank(), 0
    for sample in Pictures():
        order = (pictures([sample.image])[0] @ bank.T).argsort(descending=True).tolist()
        best = [CLASSES[i] for i in order[: len(sample.labels)]]
        for label in sample.labels:
            subject = whole.subjects[index]
            assert (subject.label, subject.predicted) == (label, CLASSES[order[0]])
            assert subject.correct == (label in best)
            index += 1
    assert index == len(whole.subjects) == 9


def test_of_the_prediction_the_prompt_changes_and_the_truth_does_not() -> None:
    result = evaluate(MODEL, Pictures(TEMPLATES), METHODS, EVERY, prompt="pred", seed=SEED)
    bank, surprises = class_bank(), 0
    for number, sample in enumerate(Pictures()):
        scores = (pictures([sample.image])[0] @ bank.T).tolist()
        best = int(np.argmax(scores))
        truth = max(sample.labels, key=lambda label: scores[CLASSES.index(label)])
        subject = result.subjects[number]
        assert subject.prompt == f"a photo of a {CLASSES[best]}."
        assert (subject.label, subject.predicted) == (truth, CLASSES[best])
        surprises += truth != CLASSES[best]
        if number in (0, 4):
            plain = expected(sample, [(truth, subject.prompt, best)], bank)
            assert found_values(result, sample) == pytest.approx(plain, abs=2e-5, nan_ok=True)
    assert surprises, "where every prediction is right, the two ways do not differ"


@pytest.mark.parametrize("batch_size", [1, 7])
def test_the_batch_size_changes_nothing(whole: Evaluation, batch_size: int) -> None:
    other = evaluate(MODEL, Pictures(TEMPLATES), METHODS, EVERY, seed=SEED, batch_size=batch_size)
    assert [row[:-1] for row in other.rows] == [row[:-1] for row in whole.rows]
    assert [row.value for row in other.rows] == pytest.approx(
        [row.value for row in whole.rows], abs=2e-5, nan_ok=True
    )


def test_curves_are_the_mean_of_the_answers(whole: Evaluation) -> None:
    scores = []
    for sample in Pictures():
        explanation = whyclip.explain(MODEL, sample.image, list(sample.prompts), method="maskclip")
        for heat, prompt in zip(
            explanation.heatmap(interpolation="bilinear"), sample.prompts, strict=True
        ):
            edits = METRICS["insertion"].edits(sample.image, heat, seed=SEED)  # type: ignore[misc]
            scores.append((pictures(list(edits)) @ texts(prompt)[0]).numpy())
    curve = whole.curve("maskclip", "insertion", "score")
    assert curve.amounts == pytest.approx(edits.amounts.numpy(), abs=1e-5)
    assert curve.scores == pytest.approx(np.mean(scores, 0), abs=2e-5)


def test_a_curve_of_another_length_keeps_its_ends_and_its_straight_parts(
    whole: Evaluation,
) -> None:
    curve = whole.curve("grad_eclip", "word_deletion", "score")
    assert len(curve.amounts) == 11
    assert (curve.amounts[0], curve.amounts[-1]) == (0, 1)
    first = [
        float(pictures([sample.image])[0] @ texts(prompt)[0])
        for sample in Pictures()
        for prompt in sample.prompts
    ]
    last = [
        float(pictures([sample.image])[0] @ texts("")[0])
        for sample in Pictures()
        for _ in sample.prompts
    ]
    assert curve.scores[[0, -1]] == pytest.approx([np.mean(first), np.mean(last)], abs=2e-5)


def test_variants_of_one_method_stand_side_by_side() -> None:
    result = evaluate(
        MODEL,
        Pictures(),
        ["grad_eclip", Variant.of("grad_eclip:spatial=none", "λ = 1")],
        ["energy_pointing"],
        seed=SEED,
    )
    assert result.methods == ("grad_eclip", "λ = 1", "random")
    plain = evaluate(
        MODEL, Pictures(), {"grad_eclip": {"spatial": "none"}}, ["energy_pointing"], seed=SEED
    )
    values = result.values("λ = 1", "energy_pointing")
    assert values == pytest.approx(plain.values("grad_eclip", "energy_pointing"), nan_ok=True)
    assert not np.allclose(values, result.values("grad_eclip", "energy_pointing"), equal_nan=True)


def test_samples_come_out_while_others_have_not_been_read() -> None:
    from whyclip.studies.candidates import class_candidates
    from whyclip.studies.evaluation.run import Run
    from whyclip.studies.evaluation.setup import make_setup

    class Many(Pictures):
        def __len__(self) -> int:
            return 40

    for metrics in (["iou"], ["deletion"]):
        dataset = Many()
        setup = make_setup(MODEL, dataset, ["raw_attention"], metrics)
        run = Run(MODEL, dataset, setup, class_candidates(MODEL, dataset), batch_size=16)
        dataset.looked_at.clear()
        for done, _ in enumerate(run.records(range(40), range(40)), 1):
            ahead = len(dataset.looked_at) - done
            assert ahead <= 1
            assert len(run.loop.waiting) <= 16


def test_what_is_remembered_of_prompts_holds_no_graph() -> None:
    from whyclip.studies.candidates import class_candidates
    from whyclip.studies.cases import CaseSetup
    from whyclip.studies.evaluation.setup import make_setup

    setup = make_setup(MODEL, Pictures(), ["grad_eclip"], ["word_deletion"])
    cases = CaseSetup(MODEL, setup.methods, class_candidates(MODEL, Pictures()))
    case = cases.explained(cases.case(Pictures()[0], lambda *_: ["a dog"]))
    case.release_graphs()
    encoded = cases.encoded(("a dog",))
    assert encoded is case.encoded
    assert not any(forward_pass._readouts for forward_pass in encoded.forward_passes)
    again = cases.explained(cases.case(Pictures()[0], lambda *_: ["a dog"]))
    assert again.words("grad_eclip") == case.words("grad_eclip")


def test_a_prompt_beyond_the_context_is_edited_as_far_as_it_was_read() -> None:
    written = ["one", "red", "cat", "two", "green", "boats"] * 15

    class Long(Pictures):
        def __len__(self) -> int:
            return 1

        def sample(self, index: int) -> Sample:
            return replace(super().sample(4), prompts=(" ".join(written),))

    [sample] = Long()
    names = ["word_deletion", "word_insertion"]
    result = evaluate(MODEL, Long(), ["contribution"], names, seed=SEED)
    [words] = whyclip.explain(
        MODEL, sample.image, list(sample.prompts), method="contribution"
    ).words
    assert [word.text for word in words] == written[:75], "each is one piece"
    order = sorted(range(75), key=lambda i: -words[i].relevance)
    image = pictures([sample.image])[0]
    for name in names:
        scores = []
        for n in range(76):
            left = set(order[:n] if name == "word_insertion" else order[n:])
            text = " ".join(written[i] for i in range(75) if i in left)
            scores.append(float(texts(text)[0] @ image))
        area = sum((a + b) / 2 for a, b in pairwise(scores)) / 75
        assert result.values("contribution", name)[0] == pytest.approx(area, abs=2e-5)
        curve = result.curve("contribution", name, "score").scores
        assert curve[[0, -1]] == pytest.approx([scores[0], scores[-1]], abs=2e-5)
