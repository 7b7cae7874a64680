"""Training in miniature: batches, losses and steps mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from whyclip.data import Scenes
from whyclip.data.captions import Claim
from whyclip.data.layout import keys_of, sample_layouts
from whyclip.data.sprites import load_atlas
from whyclip.mini.batches import Batch, Batches, all_words
from whyclip.mini.build_atlas import read_concepts
from whyclip.mini.evaluate import interval
from whyclip.mini.export import export
from whyclip.mini.model import Towers, Vocabulary, build, patchify
from whyclip.mini.train import STAGES, Plan, matching_loss, train
from whyclip.mini.truth import energy, pointing


def test_the_training_forward_is_the_models_own() -> None:
    model = build(100).eval()
    towers = Towers(model)
    image = torch.rand(2, 3, 224, 224)
    tokens = torch.randint(1, 98, (3, 32))
    tokens[:, 7] = 99
    tokens[:, 8:] = 0
    places = torch.arange(196).expand(2, -1)
    with torch.no_grad():
        assert torch.allclose(
            towers.image(patchify(image), places), model.encode_image(image * 2 - 1), atol=1e-5
        )
        assert torch.allclose(towers.text(tokens[:, :9]), model.encode_text(tokens), atol=1e-5)


def test_the_vocabulary_reads_captions_as_the_tokenizer_does() -> None:
    vocabulary = Vocabulary(all_words(load_atlas()))
    captions = [s.caption for s in Scenes(40, seed=9)]
    ids = torch.tensor(vocabulary.ids)
    whole = vocabulary.tokenizer(captions, context_length=32)
    ours = vocabulary.encode(captions)
    assert (ids[ours] == whole[:, : ours.shape[1]]).all()
    assert (whole[:, ours.shape[1] :] == 0).all()


def plain_loss(images: list, texts: list, scale: float, true: list, unsure: list, bank: int):
    """The loss written out as sums over single pairs."""

    def pull(rows: list, targets: list) -> float:
        total, used = 0.0, 0
        for row, target in zip(rows, targets, strict=True):
            wanted = [i for i, t in enumerate(target) if t]
            if wanted:
                below = float(np.log(np.sum(np.exp(row))))
                total += sum(below - row[i] for i in wanted) / len(wanted)
                used += 1
        return total / used

    logits = [
        [
            -1e4 if unsure[i][j] else scale * float(np.dot(images[i], texts[j]))
            for j in range(len(texts))
        ]
        for i in range(len(images))
    ]
    named = pull([row[:bank] for row in logits], [row[:bank] for row in true])
    turned = [list(c) for c in zip(*logits, strict=True)]
    return named + 0.5 * pull(logits, true) + 0.5 * pull(turned, [*zip(*true, strict=True)])


def test_the_loss_is_the_sum_that_it_says() -> None:
    generator = torch.Generator().manual_seed(3)
    images = F.normalize(torch.randn(4, 8, generator=generator), dim=-1)
    texts = F.normalize(torch.randn(7, 8, generator=generator), dim=-1)
    true = torch.rand(4, 7, generator=generator) < 0.4
    true[:, 0] = True
    unsure = (torch.rand(4, 7, generator=generator) < 0.2) & ~true
    batch = Batch([], torch.zeros(7, 1), 3, true, unsure)
    found = matching_loss(images, texts, torch.tensor(5.0), batch)
    plain = plain_loss(images.tolist(), texts.tolist(), 5.0, true.tolist(), unsure.tolist(), 3)
    assert float(found) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("stage", STAGES)
def test_every_picture_of_a_batch_has_a_true_text(stage: str) -> None:
    atlas = load_atlas()
    batch = Batches(atlas, Vocabulary(all_words(atlas)), 16).make(3, stage)
    assert batch.true[:, : batch.bank].any(1).all()
    assert not (batch.true & batch.undecidable).any()
    assert sum(len(p) for p, _ in batch.groups) == 16
    for patches, places in batch.groups:
        assert patches.shape[:2] == places.shape
        assert all(len(set(row)) == len(row) for row in places.tolist())


def test_the_plan_visits_its_stages_and_ends_at_rest() -> None:
    plan = Plan((1000, 500, 100), batch=10, warm=5)
    assert [plan.at(s)[0] for s in (0, 999, 1000, 1499, 1500, 1599)] == [
        "crops", "crops", "scenes", "scenes", "full", "full",
    ]  # fmt: skip
    assert plan.at(0)[2] == pytest.approx(0.2)
    assert plan.at(500)[2] == 1
    assert plan.at(1600)[2] == 0


@pytest.mark.slow
def test_training_goes_on_where_it_stopped_and_exports(tmp_path: Path) -> None:
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    for out in (whole, halves):
        out.mkdir()
    plan = Plan((32, 16, 16), batch=16, warm=2)
    train(0, whole, plan, 1, 2, 0, 1)
    train(0, halves, Plan((32, 0, 0), batch=16, warm=2, decay=plan.decay * 2), 1, 2, 0, 1)
    train(0, halves, plan, 1, 2, 0, 1)
    states = [torch.load(o / "checkpoint.pt", weights_only=True) for o in (whole, halves)]
    assert states[0]["step"] == states[1]["step"] == 4
    export(whole / "checkpoint.pt", tmp_path / "weights")
    again, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'weights'}")
    assert type(again) is open_clip.CLIP


# What the figures rest on.


def test_intervals_and_map_measures_on_plain_cases() -> None:
    low, high = interval(50, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)
    assert high == pytest.approx(0.5962, abs=1e-4)
    mask = np.zeros((4, 4), dtype=bool)
    mask[:2, :2] = True
    values = np.array([[3.0, 1.0], [-5.0, 0.0]])
    assert energy(values, mask) == pytest.approx(0.75)
    assert np.isnan(energy(-np.abs(values), mask))
    assert pointing(np.array([[0, 2.0], [np.nan, 1]]), np.array([[0, 1], [0, 0]], bool)) == 1
    assert pointing(np.array([[3, 2.0], [np.nan, 1]]), np.array([[0, 1], [0, 0]], bool)) == 0
    assert Claim(((1, -1),)).relation == -1


def test_patches_cut_at_places_are_those_of_the_whole_picture() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, 3, 224, 224, generator=generator)
    places = torch.stack([torch.randperm(196, generator=generator)[:20] for _ in range(3)])
    some = patchify(images, places)
    for row in range(3):
        for column, place in enumerate(places[row].tolist()):
            y, x = place // 14 * 16, place % 14 * 16
            cell = images[row, :, y : y + 16, x : x + 16] * 2 - 1
            assert torch.equal(some[row, column], cell.flatten())


def test_a_wrong_colour_is_often_one_that_is_elsewhere_in_the_picture() -> None:
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)))
    elsewhere = []
    for seed in range(150):
        layout = sample_layouts(atlas, keys_of(np.array([seed]), "train"), objects=(2, 2))
        layout.colour[0, :2] = seed % 8, (seed + 3) % 8
        _, claims = batches.texts(layout, np.random.default_rng(seed))
        [(concept, colour)] = claims[-1].objects
        own = int(layout.colour[0, list(layout.concept[0]).index(concept)])
        assert colour != own
        elsewhere.append(colour in layout.colour[0, :2])
    # One time in two on purpose, and one in seven of the others by chance; never 1/7 alone.
    assert np.mean(elsewhere) == pytest.approx(0.5 + 0.5 / 7, abs=0.13)


def test_concepts_that_wait_are_not_taken(tmp_path: Path) -> None:
    table = tmp_path / "concepts.tsv"
    table.write_text("dog\tpuppy,hound\t1f436\n# tulip\t\t1f337\ncup\t\t2615 1f375\n", "utf-8")
    assert read_concepts(table) == [
        ("dog", ["puppy", "hound"], ["1f436"]),
        ("cup", [], ["2615", "1f375"]),
    ]
