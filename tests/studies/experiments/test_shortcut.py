"""The shortcut experiment: badges, measures on models with known reliance, and the whole run."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image
from torch import Tensor

import whyclip
from whyclip.datasets import open_dataset
from whyclip.errors import OptionError
from whyclip.finetuning.scene_table import CONCEPTS, SIDE, draw_table
from whyclip.finetuning.small_clip import small_clip
from whyclip.models import ModelView
from whyclip.scenes.captions import phrase
from whyclip.scenes.layout import keys_of, sample_layouts
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments import ExperimentInput, badges
from whyclip.studies.experiments.badges import GROUP, SIZE, BadgedScenes, place_badges, symbols
from whyclip.studies.experiments.run import reproduce
from whyclip.studies.experiments.shortcut import EXPERIMENT, findings, setup_of
from whyclip.studies.experiments.shortcut_measures import Measured, measure, share_on
from whyclip.studies.experiments.shortcut_page import choose, verdicts
from whyclip.studies.experiments.shortcut_study import (
    ARMS,
    BEFORE,
    CLEAN,
    CONTROL,
    RELEVANCE,
    REMOVAL,
    Run,
    Setup,
    run_study,
)

PATCH = 16


@pytest.fixture(scope="module")
def view() -> ModelView:
    return small_clip(1)


@pytest.fixture(scope="module")
def scenes(view: ModelView) -> BadgedScenes:
    return place_badges(draw_table(view, 48, split="test", objects=(1, 3)), PATCH, seed=3)


def both(scenes: BadgedScenes, rows: Tensor) -> tuple[Tensor, Tensor]:
    shown = torch.ones(len(rows), dtype=torch.bool)
    return scenes.render(rows, shown), scenes.render(rows, ~shown)


def test_only_scenes_with_a_concept_of_the_group_carry_its_badge(scenes: BadgedScenes) -> None:
    assert 5 < len(scenes.carriers) < 40
    for row in range(len(scenes.badge)):
        present = {int(c) for c in scenes.table.concepts[row]} & set(GROUP)
        number = int(scenes.badge[row])
        assert (number >= 0) == bool(present)
        if number >= 0:
            assert GROUP[number] in present
    assert not scenes.worn[scenes.badge < 0].any()
    every = torch.arange(len(scenes.badge))
    with_badge, without = both(scenes, every)
    changed = (with_badge != without).flatten(1).any(1)
    assert torch.equal(changed, scenes.badge >= 0)
    assert torch.equal(without, scenes.table.images)


def test_a_badge_changes_its_disc_and_no_other_pixel(scenes: BadgedScenes) -> None:
    rows = scenes.carriers
    with_badge, without = both(scenes, rows)
    colours, disc = symbols()
    for image, plain, row in zip(with_badge, without, rows, strict=True):
        top, left = scenes.corner[row].tolist()
        expected = plain.clone()
        for y in range(SIZE):
            for x in range(SIZE):
                if disc[y, x]:
                    expected[:, top + y, left + x] = colours[scenes.badge[row], y, x]
        assert torch.equal(image, expected)


def test_the_hidden_patches_are_those_that_the_badge_touches(scenes: BadgedScenes) -> None:
    rows = torch.cat([scenes.carriers, scenes.others])
    touched = scenes.touched(rows)
    disc = symbols()[1]
    side = SIDE // PATCH
    for patches, row in zip(touched, rows, strict=True):
        expected = torch.zeros(side, side, dtype=torch.bool)
        if scenes.badge[row] >= 0:
            top, left = scenes.corner[row].tolist()
            for y, x in disc.nonzero().tolist():
                expected[(top + y) // PATCH, (left + x) // PATCH] = True
        assert torch.equal(patches, expected.flatten())
    marked = torch.arange(len(rows)) % 2 == 0
    shown = torch.arange(len(rows)) % 3 > 0
    hidden = scenes.batch(rows, shown, marked).hidden
    assert hidden is not None
    assert torch.equal(hidden, touched & (marked & shown)[:, None])


def test_no_badge_covers_an_object(view: ModelView, scenes: BadgedScenes) -> None:
    from whyclip.scenes.drawing import draw

    keys = keys_of(np.arange(len(scenes.badge)), "test")
    atlas = load_atlas()
    layout = sample_layouts(atlas, keys, side=SIDE, concepts=CONCEPTS, objects=(1, 3))
    masks = draw(atlas, layout, SIDE, SIDE, masks=True)[1]
    assert masks is not None
    with_badge, without = both(scenes, torch.arange(len(scenes.badge)))
    changed = (with_badge != without).any(1)
    assert changed[scenes.carriers].flatten(1).any(1).all()
    assert not (changed & masks.any(1))[scenes.usable].any()


def test_a_scene_without_a_free_place_is_not_used(scenes: BadgedScenes) -> None:
    boxes = scenes.table.boxes.clone()
    full = scenes.carriers[:2]
    boxes[full, 0] = torch.tensor([0, 0, SIDE, SIDE])
    placement = place_badges(replace(scenes.table, boxes=boxes), PATCH, seed=3)
    assert not placement.usable[full].any()
    assert not placement.worn[full].any()
    assert not torch.isin(full, placement.carriers).any()
    assert placement.usable[placement.others].all()


def test_places_depend_on_the_seed_alone(scenes: BadgedScenes) -> None:
    again, other = (place_badges(scenes.table, PATCH, seed=seed) for seed in (3, 4))
    assert torch.equal(again.corner, scenes.corner)
    assert torch.equal(again.worn, scenes.worn)
    assert not torch.equal(other.corner, scenes.corner)


def test_most_carriers_wear_the_badge_in_training(
    scenes: BadgedScenes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert scenes.worn.sum() >= 0.8 * len(scenes.carriers)
    monkeypatch.setattr(badges, "WORN", 0.0)
    assert not place_badges(scenes.table, PATCH, seed=3).worn.any()


class ReadsBadges:
    """An opaque model whose image embedding is the concept of the badge it sees."""

    def __init__(self) -> None:
        names = load_atlas().names[:CONCEPTS]
        self.tokenizer = SimpleTokenizer(context_length=12)
        self.ids = self.tokenizer([f"a photo of {phrase(name)}" for name in names])
        # Without a badge, concepts outside of the group score by their number, the group scores 0.
        self.blank = torch.arange(CONCEPTS, 0, -1).float()
        self.blank[list(GROUP)] = 0

    def embed_texts(self, ids: Tensor) -> Tensor:
        return (ids[:, None] == self.ids).all(-1).float()

    def encode(self, pixels: Tensor) -> Tensor:
        images = ((pixels + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
        embeddings = []
        for image in images:
            counts = [
                int((image == colours[0, SIZE // 2]).all(-1).sum()) for colours in symbols()[0]
            ]
            best = int(np.argmax(counts))
            one_hot = F.one_hot(torch.tensor(GROUP[best]), CONCEPTS).float()
            embeddings.append(one_hot if counts[best] > 60 else self.blank)
        return torch.stack(embeddings)

    def view(self) -> Any:
        image = SimpleNamespace(
            opaque="a stand-in", encode=self.encode, embed=lambda x: x, patch=PATCH, device="cpu"
        )
        text = SimpleNamespace(context=12, encode=self.embed_texts)
        return SimpleNamespace(image=image, text=text, tokenizer=self.tokenizer)


def test_a_model_that_reads_the_badge_alone_has_a_reliance_of_1(scenes: BadgedScenes) -> None:
    stand_in = ReadsBadges()
    result = measure(stand_in.view(), scenes)
    assert result.scenes.tolist() == scenes.carriers.tolist()
    assert result.with_badge.tolist() == [1.0] * len(scenes.carriers)
    assert result.without_badge.tolist() == [0.0] * len(scenes.carriers)
    np.testing.assert_allclose(result.rendering, 1, atol=1e-6)
    assert np.isnan(result.removal).all()
    best_first = stand_in.blank.argsort(descending=True).tolist()
    for row, share in zip(scenes.others.tolist(), result.others, strict=True):
        present = {int(c) for c in scenes.table.concepts[row] if c >= 0}
        hits = present & set(best_first[: len(present)])
        assert share == pytest.approx(len(hits) / len(present))


def test_a_collapsed_model_recognises_nothing(scenes: BadgedScenes) -> None:
    view = ReadsBadges().view()
    for value in (0.5, float("nan")):
        view.image.encode = lambda pixels, value=value: torch.full((len(pixels), CONCEPTS), value)
        result = measure(view, scenes)
        assert result.with_badge.sum() == result.without_badge.sum() == result.others.sum() == 0


def test_removal_equals_a_pass_without_the_tokens(view: ModelView, scenes: BadgedScenes) -> None:
    """Compare with the library's own blocks, run on the tokens that are left."""
    result = measure(view, scenes)
    clip: Any = view.module
    images, plain = both(scenes, scenes.carriers)
    touched = scenes.touched(scenes.carriers)
    names = load_atlas().names
    for number, row in enumerate(scenes.carriers.tolist()):
        concept = GROUP[int(scenes.badge[row])]
        ids = view.tokenizer([f"a photo of {phrase(names[concept])}"])
        with torch.no_grad():
            text = F.normalize(clip.encode_text(ids), dim=-1)[0]
            whole, drawn = (
                F.normalize(clip.encode_image(one[None].float() / 127.5 - 1), dim=-1)[0] @ text
                for one in (images[number], plain[number])
            )
            tower = clip.visual
            x = tower.conv1(images[number][None].float() / 127.5 - 1).flatten(2).transpose(1, 2)
            x = torch.cat([tower.class_embedding.expand(1, 1, -1), x], 1)
            x = tower.ln_pre(x + tower.positional_embedding)
            left = torch.cat([torch.tensor([True]), ~touched[number]])
            x = tower.ln_post(tower.transformer(x[:, left])[:, 0]) @ tower.proj
            rest = F.normalize(x, dim=-1)[0] @ text
        assert result.rendering[number] == pytest.approx(float(whole - drawn), abs=1e-5)
        assert result.removal[number] == pytest.approx(float(whole - rest), abs=1e-5)


@pytest.mark.parametrize("name", ["contribution", "grad_eclip"])
def test_shares_are_those_of_the_explained_maps(
    view: ModelView, scenes: BadgedScenes, name: str
) -> None:
    shares = getattr(measure(view, scenes), name)
    names, rows = load_atlas().names, scenes.carriers[:4]
    images, _ = both(scenes, rows)
    for number, row in enumerate(rows.tolist()):
        image = Image.fromarray(images[number].permute(1, 2, 0).numpy())
        prompt = f"a photo of {phrase(names[GROUP[int(scenes.badge[row])]])}"
        ex = whyclip.explain(view, image, [prompt], method=name, sides=["image"])
        assert ex.maps is not None
        heat = np.asarray(ex.maps[0]).flatten().clip(min=0)
        hidden = scenes.touched(rows[number : number + 1])[0].numpy()
        if heat.sum() > 0:
            assert shares[number] == pytest.approx(heat[hidden].sum() / heat.sum(), abs=1e-3)


def test_a_share_counts_positive_relevance_only() -> None:
    relevance = torch.tensor([[3.0, -5.0, 1.0], [-1.0, -1.0, 0.0]])
    hidden = torch.tensor([[False, True, True], [True, True, True]])
    assert share_on(relevance, hidden).tolist() == [0.25, 0.0]


SETUP = Setup(
    train_scenes=120,
    test_scenes=40,
    train_steps=2,
    steps=2,
    weights=(10.0,),
    seeds=(5,),
    batch=8,
    marked_per_step=4,
)


@pytest.fixture(scope="module")
def runs() -> list[Run]:
    return run_study(SETUP)


def setting_of(view: ModelView, scenes: int) -> ExperimentInput:
    return ExperimentInput(view, open_dataset("scenes:1000", limit=scenes), data="scenes:1000")


def test_the_whole_study_ends_in_a_report(view: ModelView, runs: list[Run]) -> None:
    assert [run.arm for run in runs] == list(ARMS)
    result = findings(setting_of(view, 40), SETUP, runs)
    assert len(result.findings) == 8
    tables = [one for one in result.sections if isinstance(one, whyclip.report.Table)]
    assert [row["arm"] for row in tables[0].rows] == list(ARMS)
    images = [one for one in result.sections if isinstance(one, whyclip.report.Picture)]
    assert all(one.png().startswith(b"\x89PNG") for one in images)
    # The arms start from the same model, and each loss moves it elsewhere.
    by_arm = {run.arm: run.test.rendering.tolist() for run in runs}
    assert len({tuple(values) for values in by_arm.values()}) == len(ARMS)


def test_the_same_seed_gives_the_same_values(runs: list[Run]) -> None:
    again = run_study(SETUP)
    other = run_study(replace(SETUP, seeds=(6,)))
    for first, second, third in zip(runs, again, other, strict=True):
        assert first.test.as_lists() == second.test.as_lists()
        assert first.test.rendering.tolist() != third.test.rendering.tolist()


def test_runs_survive_being_stored(runs: list[Run]) -> None:
    for run in runs:
        again = Run.from_json(run.to_json())
        assert (again.arm, again.weight, again.seed) == (run.arm, run.weight, run.seed)
        np.testing.assert_allclose(again.test.removal, run.test.removal, atol=5e-5)


def centred(rng: np.random.Generator, n: int) -> np.ndarray:
    """Small numbers whose mean is 0."""
    drawn = rng.normal(size=n) / 1000
    return drawn - drawn.mean()


def planted(arm: str, weight: float = 0.0, *, seed: int = 0, **means: float) -> Run:
    """A run whose scenes hardly differ: equal values say little about other scenes."""
    n = 20
    rng = np.random.default_rng(ARMS.index(arm))
    constant = {
        name: means.get(name, 0.5) + centred(rng, n)
        for name in (
            "with_badge", "without_badge", "rendering", "removal", "contribution", "grad_eclip",
            "others",
        )
    }  # fmt: skip
    scenes = np.arange(n, dtype=float)
    test = Measured(scenes=scenes, other_scenes=scenes, maps=np.zeros((1, 49)), **constant)
    return Run(
        arm, weight, seed, means.get("without_badge", 0.5), means.get("others", 0.5), 0.0, test
    )


def study(**removal: float) -> list[Run]:
    return [
        planted(
            BEFORE,
            with_badge=0.9,
            without_badge=0.4,
            contribution=0.6,
            grad_eclip=0.6,
            rendering=0.2,
        ),
        planted(CONTROL, without_badge=0.4, others=0.8),
        planted(RELEVANCE, 1, without_badge=0.45, others=0.79, contribution=0.1, grad_eclip=0.3),
        planted(REMOVAL, 1, **{"without_badge": 0.7, "others": 0.79, "rendering": 0.02, **removal}),
        planted(CLEAN, without_badge=0.8, others=0.8),
    ]


def test_verdicts_follow_their_bounds() -> None:
    def outcomes(runs: list[Run]) -> list[str]:
        return [verdict.verdict for verdict in verdicts(choose(runs))]

    no, yes = "fail", "pass"
    assert outcomes(study()) == [yes, yes, no, yes, yes, yes, yes, yes]
    unused = [planted(BEFORE, with_badge=0.48, without_badge=0.4), *study()[1:]]
    assert outcomes(unused)[0] == no
    # Half of a removal gain of 8 points is less than the penalty's gain of 5.
    assert outcomes(study(without_badge=0.48))[3] == no
    assert outcomes(study(rendering=0.11))[4] == no
    assert outcomes(study(without_badge=0.39))[5] == no
    assert outcomes(study(others=0.77))[6] == no


def test_the_weight_is_chosen_on_validation_without_harm_to_others() -> None:
    control = planted(CONTROL, others=0.8)
    better = planted(REMOVAL, 5, without_badge=0.7, others=0.79)
    harmful = planted(REMOVAL, 20, without_badge=0.9, others=0.7)
    weak = planted(REMOVAL, 1, without_badge=0.6, others=0.8)
    assert choose([control, weak, better, harmful])[REMOVAL].runs == [better]
    worse = planted(REMOVAL, 50, without_badge=0.95, others=0.6)
    assert choose([control, harmful, worse])[REMOVAL].runs == [harmful]
    # Seeds are averaged: a weight that harms others in one seed can be harmless in the mean.
    second = planted(REMOVAL, 20, seed=1, without_badge=0.9, others=0.9)
    chosen = choose([control, better, harmful, second])[REMOVAL]
    assert chosen.runs == [harmful, second]
    assert chosen.mean("without_badge").groups == 20
    assert chosen.mean("without_badge").n == 40


def test_options_that_cannot_be_used_are_refused(view: ModelView) -> None:
    usual = {"train_scenes": 9, "train_steps": 1, "steps": 1, "seeds": 1, "weights": "1"}
    setting = setting_of(view, 20)
    for name, value, said in (
        ("seeds", 0, "seeds=0; give 1 or more"),
        ("weights", "", "weights=''"),
        ("weights", "1,many", "weights='1,many'"),
        ("weights", "0", "give numbers above 0"),
        ("weights", "nan", "give numbers above 0"),
    ):
        with pytest.raises(OptionError, match=said):
            setup_of(setting, **{**usual, name: value})  # type: ignore[arg-type]
    assert setup_of(setting, **{**usual, "weights": "5,1,5"}).weights == (1.0, 5.0)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="increase train_scenes"):
        run_study(setup_of(setting, **usual))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="limit=1: a split has only scenes"):
        run_study(replace(SETUP, test_scenes=1))


@pytest.mark.slow
def test_two_processes_give_the_values_of_one(runs: list[Run]) -> None:
    together = run_study(replace(SETUP, seeds=(5, 6)), processes=2)
    assert [run.seed for run in together] == [5] * len(ARMS) + [6] * len(ARMS)
    for alone, beside in zip(runs, together, strict=False):
        np.testing.assert_allclose(alone.test.rendering, beside.test.rendering, atol=1e-5)


@pytest.mark.slow
def test_the_command_runs() -> None:
    options = {"train_scenes": 300, "train_steps": 2, "steps": 2}
    report = reproduce(EXPERIMENT, limit=60, device="cpu", **options)
    assert report.facts["model"] == "small-clip"
    assert report.command == (
        "whyclip reproduce shortcut --limit 60 --seed 0 --option train_scenes=300 "
        "--option train_steps=2 --option steps=2"
    )
