"""Experiments made of evaluations: their main numbers once more, by plain loops."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import reference
import tiny
import whyclip
from pictures import CLASSES, Pictures
from whyclip.errors import OptionError
from whyclip.metrics import Interval
from whyclip.studies.experiments import (
    ExperimentInput,
    layers,
    localisation,
    measured,
    probing,
    table1,
)
from whyclip.studies.experiments.shrunk import Resized


def cells(table: Any, *names: str) -> dict[Any, Any]:
    """Rows by the cells that name them."""
    return {tuple(row.get(n) for n in names): row for row in table.rows}


def bank(plain: Any) -> torch.Tensor:
    return plain.texts(*(f"a photo of a {name}." for name in CLASSES))


# Localisation


@pytest.fixture(scope="module")
def located(setting: ExperimentInput) -> Any:
    return localisation.localisation(setting)


def pointed(setting: ExperimentInput, plain: Any) -> list[tuple[float, bool]]:
    """Whether contribution's highest pixel is on the object, and whether the model is right."""
    hits = []
    for sample in setting.dataset:
        best = (bank(plain) @ plain.image(sample.image)).argsort(descending=True).tolist()
        ex = whyclip.explain(
            setting.model, sample.image, list(sample.prompts), method="contribution"
        )
        for label, heat in zip(
            sample.labels, ex.heatmap(interpolation="bilinear").numpy(), strict=True
        ):
            right = CLASSES.index(label) in best[: len(sample.labels)]
            if sample.masks is None:
                continue
            mask = sample.masks[label]
            seen = ~np.isnan(heat)
            if sample.ignored is not None:
                seen &= ~sample.ignored
            top = seen & (heat == heat[seen].max())
            # Of several highest pixels, the share that lies on the object.
            hits.append((float(mask[top].mean()), right))
    return hits


def test_pointing_is_that_of_a_loop(setting: ExperimentInput, plain: Any, located: Any) -> None:
    expected = pointed(setting, plain)
    row = cells(located.sections[0], "method")["Contribution",]
    assert row["pointing"].n == len(expected) == 7
    assert row["pointing"].mean == pytest.approx(np.mean([hit for hit, _ in expected]), abs=1e-6)


def test_right_and_wrong_are_told_apart(setting: ExperimentInput, plain: Any, located: Any) -> None:
    expected = pointed(setting, plain)
    right = [hit for hit, good in expected if good]
    wrong = [hit for hit, good in expected if not good]
    row = cells(located.sections[2], "method")["Contribution",]
    assert right
    assert wrong
    assert row["pointing_right"].mean == pytest.approx(np.mean(right), abs=1e-6)
    assert row["pointing_wrong"].mean == pytest.approx(np.mean(wrong), abs=1e-6)
    less = np.mean(right) - np.mean(wrong)
    assert row["pointing_less"].mean == pytest.approx(less, abs=1e-6)


def test_numbers_from_elsewhere_stand_below(located: Any) -> None:
    assert located.sections[0].rows[-1]["pointing"] == 0.693
    assert "random" in [row["method"] for row in located.sections[0].rows]


class Planted:
    """An evaluation whose differences were decided here."""

    def __init__(self, methods: tuple[str, ...], better: bool) -> None:
        self.methods, self.better = methods, better
        self.correct = np.array([True, False] * 20)
        self.images = np.array([str(i) for i in range(40)])
        self.setup = SimpleNamespace(seed=0)

    def values(self, *_: Any) -> np.ndarray:
        noise = 0.01 * np.random.default_rng(0).random(40)
        return noise + (0.5 if self.better else -0.5) * self.correct

    def difference(self, one: str, other: str, metric: str, read: str | None = None) -> Interval:
        # Deletion is better where it is lower.
        sign = (1 if self.better else -1) * (-1 if metric.endswith("deletion") else 1)
        ends = sorted([sign * 0.1, sign * 0.3])
        return Interval(sign * 0.2, *ends, 40, 40)


@pytest.mark.parametrize("better", [True, False])
def test_verdicts_follow_planted_differences(better: bool) -> None:
    expected = {"pass" if better else "fail"}
    planted: Any = Planted((localisation.PUBLISHED, "Grad-CAM", "MaskCLIP", "random"), better)
    assert {v.verdict for v in localisation.verdicts(planted)} == expected
    verdicts = table1.verdicts(planted)
    assert {v.verdict for v in verdicts} == expected
    assert len(verdicts) == 6
    planted = Planted(("grad_eclip, last", "grad_eclip, all 6"), better)
    columns = {**layers.FAITHFUL, **layers.LOCATED}
    verdicts = layers.verdicts(planted, columns, "image")
    assert {v.verdict for v in verdicts} == expected
    assert len(verdicts) == 2
    names = ("q·k", "uniform", "attention")
    planted = Planted(tuple(f"λ {name}, native heads" for name in names), better)
    assert {v.verdict for v in probing.verdicts(planted, columns)} == expected


@pytest.mark.parametrize("run", [localisation.localisation, table1.table1, probing.probing])
def test_a_model_without_attention_is_refused(setting: ExperimentInput, run: Any) -> None:
    average = whyclip.wrap(*tiny.openclip_parts(pool_type="avg"))
    with pytest.raises(OptionError, match=r"averages its patches; use a ViT with a class token"):
        run(replace(setting, model=average))


def test_a_gain_is_above_0_where_it_is_better() -> None:
    planted: Any = Planted(("a", "b"), better=True)
    for metric in ("deletion", "insertion", "energy_pointing"):
        gain = measured.gain(planted, "a", "b", (metric, None))
        assert (gain.mean, gain.low, gain.high) == pytest.approx((0.2, 0.1, 0.3)), metric


# Deletion and insertion


class One(Pictures):
    """The first picture alone."""

    def __len__(self) -> int:
        return 1


def test_insertion_is_that_of_a_loop(setting: ExperimentInput, plain: Any) -> None:
    one = ExperimentInput(setting.model, One(), 0, "pictures")
    sample = one.dataset[0]
    pixels = np.asarray(sample.image)
    expected: dict[str, list[float]] = {"top1": [], "score": []}
    explanation = whyclip.explain(
        one.model, sample.image, list(sample.prompts), method="decomposition", geometry="keep"
    )
    for label, prompt, heat in zip(
        sample.labels,
        sample.prompts,
        explanation.heatmap(interpolation="bilinear").numpy(),
        strict=True,
    ):
        # Between patch centres a signed map has few ties: at the border, where it is held.
        order = np.argsort(-heat.ravel(), kind="stable")
        hits, scores = [], []
        for point in range(11):
            count = order.size if point == 10 else point * 10 * (order.size // 200)
            canvas = np.zeros_like(pixels).reshape(-1, 3)
            canvas[order[:count]] = pixels.reshape(-1, 3)[order[:count]]
            unit = plain.image(Image.fromarray(canvas.reshape(pixels.shape)))
            hits.append(float((bank(plain) @ unit).argmax() == CLASSES.index(label)))
            scores.append(float(plain.texts(prompt)[0] @ unit))
        expected["top1"].append(float(np.mean(hits)))
        expected["score"].append(float(np.mean(scores)))
    report = table1.table1(one)
    row = cells(report.sections[0], "method")["Decomposition",]
    assert row["insertion"].mean == pytest.approx(np.mean(expected["top1"]), abs=0.1)
    rest = cells(report.sections[2], "method")["Decomposition",]
    assert rest["insertion_score"].mean == pytest.approx(np.mean(expected["score"]), abs=0.01)
    assert report.facts["geometry"] == "keep"


def test_published_numbers_stand_beside_ours(setting: ExperimentInput) -> None:
    report = table1.table1(ExperimentInput(setting.model, One(), 0, "pictures"), shrink=False)
    rows = cells(report.sections[0], "method")
    assert rows["Grad-CAM",]["deletion_paper"] == 0.3417
    assert rows[table1.PUBLISHED,]["insertion_again"] == 0.3815
    assert "deletion_paper" not in rows["Contribution",]
    assert report.facts["short side at most"] == "as it is"


class Large(Pictures):
    def __len__(self) -> int:
        return 2

    def sample(self, index: int) -> Any:
        size = ((1500, 1000), (900, 640))[index]
        sample = super().sample(index)
        return replace(sample, source=sample.image.resize(size))


def test_only_large_pictures_are_shrunk() -> None:
    large = Large()
    samples = list(Resized(large, 640))
    assert [sample.image.size for sample in samples] == [(960, 640), (900, 640)]
    assert samples[0].masks is None
    assert samples[1].masks is not None
    assert Resized(large, 640).class_prompts == large.class_prompts


# Layers


def test_variants_read_one_some_and_all_layers() -> None:
    named = {v.label: v for v in layers.variants_of(6)}
    assert named["grad_eclip, last 2"].options == {"layers": 2}
    assert named["game, last"].options == {"start_layer": 5}
    assert named["game, all 6"].options == {"start_layer": 0}
    # Of one layer, the last is all there is.
    assert {v.label for v in layers.variants_of(1) if v.method.name == "game"} == {"game, last"}


def test_layers_cost_what_two_explanations_differ_by(setting: ExperimentInput) -> None:
    report = layers.layers(setting)
    energies: dict[int, list[float]] = {1: [], 2: []}
    for sample in setting.dataset:
        for number, into in energies.items():
            maps = whyclip.explain(
                setting.model,
                sample.image,
                list(sample.prompts),
                method="grad_eclip",
                layers=number,
            ).heatmap(interpolation="bilinear")
            for label, heat in zip(sample.labels, maps.numpy(), strict=True):
                if sample.masks is None:
                    continue
                counted = ~np.isnan(heat)
                if sample.ignored is not None:
                    counted &= ~sample.ignored
                there = counted & sample.masks[label]
                into.append(float(heat[there].sum() / heat[counted].sum()))
    rows = cells(report.sections[0], "method")
    assert rows["grad_eclip, last",]["energy"].mean == pytest.approx(np.mean(energies[1]), abs=1e-5)
    assert rows["grad_eclip, all 2",]["energy"].mean == pytest.approx(
        np.mean(energies[2]), abs=1e-5
    )
    cost = cells(report.sections[2], "method")["grad_eclip",]["energy"]
    assert cost.mean == pytest.approx(np.mean(energies[1]) - np.mean(energies[2]), abs=1e-5)
    titles = [s.title for s in report.sections if hasattr(s, "title")]
    assert "Texts: layers read" in titles


# Probing


@pytest.mark.parametrize("likeness", ["keys", "queries"])
@pytest.mark.parametrize("heads", ["native", "single"])
def test_weights_from_one_kind_of_vector_as_written_out(
    setting: ExperimentInput, plain: Any, likeness: str, heads: str
) -> None:
    from whyclip.encoded_prompts import encode_prompts
    from whyclip.pipeline import run
    from whyclip.variant import Variant

    sample = setting.dataset[0]
    variant = Variant(probing.BY_LIKENESS, {"likeness": likeness, "heads": heads}, sides=("image",))
    question = encode_prompts(setting.model, list(sample.prompts), keep=0)
    [explanation] = run(setting.model, [sample.image], question, [variant], "model", "fp32")[
        variant.label
    ]
    assert explanation.maps is not None
    tokens = plain.tokens(sample.image)
    for prompt, found_map in zip(sample.prompts, explanation.maps, strict=True):
        embedding, [trace] = reference.run(
            plain.image_tower, tokens, 0, last=1, single=heads == "single"
        )
        score = reference.cosine(embedding, plain.texts(prompt)[0].double())
        [g] = torch.autograd.grad(score, trace.o[0])
        vectors = trace.k if likeness == "keys" else trace.q
        alike = [float(reference.cosine(vectors[0], v).detach()) for v in vectors[1:]]
        low, high = min(alike), max(alike)
        expected = [
            max(0.0, (r - low) / (high - low) * float((g * v).sum()))
            for r, v in zip(alike, trace.v[1:].detach(), strict=True)
        ]
        # The model's own pass over whole contexts rounds otherwise than one over cut texts.
        np.testing.assert_allclose(found_map.flatten(), expected, atol=2e-5 * max(expected))


def test_where_all_are_alike_there_is_nothing_to_prefer() -> None:
    same = torch.ones(1, 4, 3)
    over = torch.tensor([[False, True, True, True]])
    assert probing.stretched(same, torch.tensor([0]), over)[0, 1:].tolist() == [1, 1, 1]


def test_every_choice_has_its_row(setting: ExperimentInput) -> None:
    report = probing.probing(setting)
    rows = cells(report.sections[0], "weights", "heads", "layers")
    for weights in ("q·k", "k·k", "q·q", "attention", "uniform"):
        assert {(weights, "native", 1), (weights, "single", 1)} <= set(rows)
    assert {("q·k", "native", 2), ("uniform", "native", 2), ("random", None, None)} <= set(rows)
    usual = rows["q·k", "native", 1]
    other = rows["uniform", "single", 1]
    gains = cells(report.sections[2], "weights", "heads", "layers")["uniform", "single", 1]
    assert gains["energy"].mean == pytest.approx(other["energy"].mean - usual["energy"].mean)
    assert gains["deletion"].mean == pytest.approx(usual["deletion"].mean - other["deletion"].mean)
