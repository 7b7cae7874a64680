"""Training in miniature: batches, losses and steps mean what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from torch.multiprocessing.spawn import spawn
from training.batches import RIVALS, Batches, Truth, all_words
from training.build_atlas import read_concepts
from training.export import export
from training.losses import colour_loss, matching_loss
from training.model import Group, Towers, Vocabulary, build, patchify
from training.stages import STAGES, Stage
from training.train import Schedule, main, train
from training.truth import energy, pointing

from whyclip.errors import OptionError
from whyclip.scenes import Scenes
from whyclip.scenes.captions import Claim
from whyclip.scenes.drawing import COLOURS, draw
from whyclip.scenes.layout import keys_of, sample_layouts
from whyclip.scenes.sprites import load_atlas


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
            towers.image(Group(patchify(image), places))[:, 0],
            model.encode_image(image * 2 - 1),
            atol=1e-5,
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
    loss = matching_loss(images, texts, torch.tensor(5.0), Truth(true, unsure), 3)
    plain = plain_loss(images.tolist(), texts.tolist(), 5.0, true.tolist(), unsure.tolist(), 3)
    assert float(loss) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("stage", STAGES.values(), ids=list(STAGES))
def test_every_picture_of_a_batch_has_a_true_text(stage: Stage) -> None:
    atlas = load_atlas()
    vocabulary = Vocabulary(all_words(atlas))
    batch = Batches(atlas, vocabulary, 16).make(3, stage)
    for truth in filter(None, (batch.pictures, batch.objects)):
        assert truth.true[:, : batch.bank].any(1).all()
        assert not (truth.true & truth.undecidable).any()
    # As many pictures and objects as the truth speaks about.
    with torch.no_grad():
        images, objects, texts, _ = Towers(build(len(vocabulary.ids)))(batch.groups, batch.tokens)
    assert len(images) == len(batch.pictures.true) == (8 if stage.name == "colours" else 16)
    assert len(objects) == (0 if batch.objects is None else len(batch.objects.true))
    assert len(texts) == batch.pictures.true.shape[1]
    for group in batch.groups:
        assert group.patches.shape[:2] == group.places.shape
        assert all(len(set(row)) == len(row) for row in group.places.tolist())


def test_a_picture_of_crops_is_the_sum_of_its_objects() -> None:
    atlas = load_atlas()
    vocabulary = Vocabulary(all_words(atlas))
    batches = Batches(atlas, vocabulary, 16)
    batch = batches.make(3, STAGES["colours"])
    [crops] = batch.groups
    towers = Towers(build(len(vocabulary.ids)))
    with torch.no_grad():
        images, objects, _, _ = towers([crops], batch.tokens)
        one_by_one = [
            F.normalize(
                towers.image(Group(crops.patches[i : i + 1], crops.places[i : i + 1])), dim=-1
            )
            for i in range(len(crops.patches))
        ]
    row = 0
    for image in range(8):
        number = int((crops.whose == image).sum())
        mine = [one[0, 0] for one in one_by_one[row : row + number]]
        assert torch.allclose(images[image], F.normalize(sum(mine), dim=0), atol=1e-5)
        # The sum is named by what any of its objects is named.
        known = batch.objects.true[row : row + number, : batch.bank].any(0)
        assert torch.equal(known, batch.pictures.true[image, : batch.bank])
        row += number
    assert row == len(objects) == len(crops.patches)


def test_a_crop_shows_its_object_at_its_place_in_the_scene() -> None:
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)))
    layout = sample_layouts(atlas, keys_of(np.arange(6), "train"), objects=(2, 4))
    crops = batches.crops(layout, 1.0)
    whole = draw(atlas, layout, 224, 224)[0]
    row = 0
    for image in range(6):
        for slot in np.flatnonzero(layout.concept[image] >= 0):
            assert int(crops.whose[row]) == image
            alone = replace(layout, concept=np.full_like(layout.concept, -1))
            alone.concept[image, slot] = layout.concept[image, slot]
            places = crops.places[row : row + 1]
            seen = patchify(draw(atlas, alone, 224, 224)[0][image : image + 1], places)
            assert torch.allclose(crops.patches[row], seen[0], atol=0.02)
            row += 1
    assert row == len(crops.patches)
    assert not torch.allclose(patchify(whole[:1], crops.places[:1])[0], torch.zeros(1))


def test_the_plan_visits_its_stages_and_ends_at_rest() -> None:
    schedule = Schedule((1000, 500, 60, 30, 10), batch=10, warm=5)
    steps = (0, 999, 1000, 1499, 1500, 1559, 1560, 1589, 1590, 1599)
    assert [schedule.at(s)[0].name for s in steps] == [s for name in STAGES for s in (name, name)]
    assert [schedule.at(s)[1] for s in (0, 500, 1250, 1600)] == [0, 0.5, 0.5, 1]
    assert schedule.at(0)[2] == pytest.approx(0.2)
    assert schedule.at(500)[2] == 1
    assert schedule.at(1600)[2] == 0


def test_a_stage_asks_for_what_its_table_says() -> None:
    crops, colours = STAGES["crops"], STAGES["colours"]
    assert [crops.spread(done) for done in (0, 0.3, 0.5, 0.7, 1)] == pytest.approx(
        [0, 0, 0.5, 1, 1]
    )
    assert colours.spread(0) == 1
    assert [colours.weight(done) for done in (0, 0.5, 1)] == [30, 17, 4]
    assert crops.weight(0.5) == 0
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)), 16)
    for stage in STAGES.values():
        for step in (4, 5):
            batch = batches.make(step, stage)
            assert (batch.rivals is None) == (stage.binding is None)
            number = batch.pictures.true[:, : batch.bank].sum(1)
            assert number.min() >= stage.objects[step % 2]
            assert number.max() <= stage.objects[2]
            if stage.name == "full":
                assert all(group.places.shape[1] == 196 for group in batch.groups)


# The step between the stages of these runs.
KEEP = (2,)


def run(out: Path, schedule: Schedule, seed: int, workers: int) -> None:
    out.mkdir(exist_ok=True)
    (out / "meeting").unlink(missing_ok=True)
    if workers == 1:
        train(0, out, schedule, 1, 2, seed, 1, KEEP)
    else:
        spawn(train, args=(out, schedule, workers, 1, seed, 1, KEEP), nprocs=workers)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_training_is_the_same_again_and_where_it_stopped(tmp_path: Path, workers: int) -> None:
    schedule = Schedule((64, 32, 0, 0, 32), batch=32, warm=2)
    # As far as the end of stage 1, at the same rates.
    begun = Schedule((64, 0, 0, 0, 0), batch=32, warm=2, decay=1e-6)
    runs = {"whole": [schedule], "again": [schedule], "halves": [begun, schedule]}
    checkpoints = {}
    for name, schedules in runs.items():
        for part in schedules:
            run(tmp_path / name, part, 0, workers)
            if part is begun:
                folder = tmp_path / name / "weights"
                ended_at_two = (folder / "open_clip_model.safetensors").read_bytes()
        checkpoints[name] = torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        assert checkpoints[name]["step"] == 4
    for kept in ("towers", "average"):
        for name, value in checkpoints["whole"][kept].items():
            assert torch.equal(value, checkpoints["again"][kept][name]), name
            assert torch.equal(value, checkpoints["halves"][kept][name]), name
    # What is kept on the way is what a run that ended there had; the end's is something else.
    at_two, at_end = (
        (tmp_path / "whole" / folder / "open_clip_model.safetensors").read_bytes()
        for folder in ("weights-2", "weights")
    )
    assert at_two == ended_at_two != at_end


def test_steps_that_are_over_cannot_be_kept(tmp_path: Path) -> None:
    torch.save({"step": 30}, tmp_path / "checkpoint.pt")
    (tmp_path / "weights-10").mkdir()
    small: Any = {"pictures": "0,0,0,0,9600", "batch": 256}
    with pytest.raises(OptionError, match="--keep 20: .* is already past that step"):
        main(tmp_path, **small, keep="10,20,35")
    assert not (tmp_path / "log.jsonl").exists(), "refused before anything is written"
    with pytest.raises(OptionError, match="give steps from 1 to 37"):
        main(tmp_path, **small, keep="40")


@pytest.mark.slow
def test_another_seed_trains_other_weights_which_open_clip_loads(tmp_path: Path) -> None:
    schedule = Schedule((16, 0, 0, 0, 0), batch=16, warm=2)
    for seed in (0, 1):
        run(tmp_path / str(seed), schedule, seed, 1)
    zero, one = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["towers"] for name in "01"
    )
    assert any(not torch.equal(value, one[name]) for name, value in zero.items())
    export(tmp_path / "0" / "checkpoint.pt", tmp_path / "weights")
    again, _, _ = open_clip.create_model_and_transforms(f"local-dir:{tmp_path / 'weights'}")
    assert type(again) is open_clip.CLIP


# What the figures rest on.


def test_map_measures_on_plain_cases() -> None:
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


def test_an_object_named_alone_is_the_class_token_looking_at_its_patches() -> None:
    towers = Towers(build(100)).eval()
    generator = torch.Generator().manual_seed(2)
    patches = torch.rand(1, 12, 768, generator=generator)
    places = torch.randperm(196, generator=generator)[None, :12]
    members = torch.zeros(1, 3, 12, dtype=torch.bool)
    members[0, 0, 2:7] = members[0, 2, 8:] = True
    with torch.no_grad():
        read = towers.image(Group(patches, places, members))[0]
        assert torch.allclose(read[0], towers.image(Group(patches, places))[0, 0], atol=1e-6)
        # The last block as OpenCLIP runs it, with an attention mask for the class token's row.
        visual = towers.model.visual
        for slot in (0, 2):
            x = patches @ visual.conv1.weight.flatten(1).T + visual.positional_embedding[1:][places]
            first = visual.class_embedding + visual.positional_embedding[0]
            x = visual.ln_pre(torch.cat([first.view(1, 1, -1), x], 1))
            mask = torch.zeros(13, 13)
            mask[0, 0] = -torch.inf
            mask[0, 1:][~members[0, slot]] = -torch.inf
            for block in visual.transformer.resblocks[:-1]:
                x = block(x)
            x = visual.transformer.resblocks[-1](x, attn_mask=mask)
            expected = visual.ln_post(x[0, 0]) @ visual.proj
            assert torch.allclose(read[1 + slot], expected, atol=1e-5)


def test_objects_own_the_patches_that_their_visible_pixels_lie_in() -> None:
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)), 32)
    layout = sample_layouts(atlas, keys_of(np.arange(32), "train"), objects=(1, 4))
    [*groups] = batches.scenes(layout, np.random.default_rng(0), STAGES["full"])
    scenes = Scenes(32, objects=(1, 4), split="train")
    inside = []
    for row, scene in enumerate(scenes):
        places, members = groups[row // 8].places[row % 8], groups[row // 8].members[row % 8]
        assert not (members.sum(0) > 1).any()
        for slot, thing in enumerate(scene.objects):
            patches = np.zeros((14, 14), dtype=bool)
            patches.flat[places[members[slot]].numpy()] = True
            coarse = np.kron(patches, np.ones((16, 16), dtype=bool))
            inside.append((coarse & thing.mask).sum() / thing.mask.sum())
            assert coarse.sum() <= (layout.size[row, slot] + 16) ** 2
    assert np.mean(inside) > 0.9


def test_what_is_said_of_an_object_alone_is_true_of_it() -> None:
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)), 24)
    layout = sample_layouts(atlas, keys_of(np.arange(24), "train"), objects=(2, 4))
    rng = np.random.default_rng(1)
    groups = batches.scenes(layout, rng, STAGES["scenes"])
    _, claims, _ = batches.texts(layout, rng)
    decided = batches.decide_alone(claims, layout, groups)
    assert decided is not None
    seen = torch.cat([group.members.any(-1) for group in groups]).numpy()
    row = 0
    for scene, slot in zip(*np.nonzero(seen), strict=True):
        concept, colour = int(layout.concept[scene, slot]), int(layout.colour[scene, slot])
        for text, claim in enumerate(claims):
            named, claimed_colour = claim.objects[0]
            one = len(claim.objects) == 1
            fits = one and named == concept
            assert decided.true[row, text] == (fits and claimed_colour in (-1, colour))
            open_question = fits and claimed_colour >= 0 and colour < 0
            assert decided.undecidable[row, text] == (not one or open_question)
        row += 1
    assert row == len(decided.true)


def test_a_wrong_colour_is_often_one_that_is_elsewhere_in_the_picture() -> None:
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)))
    elsewhere = []
    for seed in range(150):
        layout = sample_layouts(atlas, keys_of(np.array([seed]), "train"), objects=(2, 2))
        layout.colour[0, :2] = seed % 8, (seed + 3) % 8
        _, claims, _ = batches.texts(layout, np.random.default_rng(seed))
        [(concept, colour)] = claims[-1].objects
        true_colour = int(layout.colour[0, list(layout.concept[0]).index(concept)])
        assert colour != true_colour
        elsewhere.append(colour in layout.colour[0, :2])
    # One time in two on purpose, and one in seven of the others by chance; never 1/7 alone.
    assert np.mean(elsewhere) == pytest.approx(0.5 + 0.5 / 7, abs=0.13)


def test_rivals_differ_from_the_truth_in_one_colour_alone() -> None:
    atlas = load_atlas()
    batches = Batches(atlas, Vocabulary(all_words(atlas)), 40)
    layout = sample_layouts(atlas, keys_of(np.arange(40), "train"), objects=(1, 4), tinted=0.7)
    texts, claims, questions = batches.texts(layout, np.random.default_rng(5), rivals=True)
    tinted = (layout.concept >= 0) & (layout.colour >= 0)
    expected = []
    for row in range(40):
        here = layout.colour[row][tinted[row]].tolist()
        if len(set(here)) > 1:
            expected += [(row, int(j)) for j in np.flatnonzero(tinted[row])]
    assert len(expected) > 40
    for (row, slot), (about, numbers) in zip(expected, questions, strict=True):
        assert about == row
        group = [claims[i].objects for i in numbers]
        assert all(len(objects) == 1 for objects in group)
        assert {objects[0][0] for objects in group} == {layout.concept[row, slot]}
        right, *wrong = [objects[0][1] for objects in group]
        assert right == layout.colour[row, slot]
        assert right not in wrong
        elsewhere = set(layout.colour[row][tinted[row]].tolist()) - {right}
        assert elsewhere < set(wrong)
        assert len(wrong) == len(elsewhere) + 1 <= RIVALS
        names = [tuple(COLOURS)[k] for k in (right, *wrong)]
        same = {texts[i].replace(k, "", 1) for i, k in zip(numbers, names, strict=True)}
        assert len(same) <= 2  # "a" and "an"


def test_training_can_show_more_tints_without_changing_anything_else() -> None:
    atlas = load_atlas()
    keys = keys_of(np.arange(500), "train")
    usual, dyed = sample_layouts(atlas, keys), sample_layouts(atlas, keys, tinted=0.7)
    there = usual.concept >= 0
    assert (usual.colour[there] >= 0).mean() == pytest.approx(0.35, abs=0.04)
    assert (dyed.colour[there] >= 0).mean() == pytest.approx(0.7, abs=0.04)
    already = usual.colour >= 0
    assert np.array_equal(usual.colour[already], dyed.colour[already])
    for name in vars(usual).keys() - {"colour"}:
        assert np.array_equal(getattr(usual, name), getattr(dyed, name))
    with pytest.raises(OptionError, match="70"):
        sample_layouts(atlas, keys, tinted=70)


def test_the_colour_loss_is_a_choice_among_rivals() -> None:
    generator = torch.Generator().manual_seed(4)
    images = F.normalize(torch.randn(3, 8, generator=generator), dim=-1)
    texts = F.normalize(torch.randn(9, 8, generator=generator), dim=-1)
    columns, about = torch.tensor([[1, 2, 3, 4], [5, 6, -1, -1]]), torch.tensor([2, 0])
    expected = 0.0
    for group, row in zip(columns.tolist(), about.tolist(), strict=True):
        powers = [np.exp(5.0 * float(images[row] @ texts[c])) for c in group if c >= 0]
        expected -= np.log(powers[0] / sum(powers)) / 2
    loss = colour_loss(images, texts, torch.tensor(5.0), (columns, about))
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_concepts_that_wait_are_not_taken(tmp_path: Path) -> None:
    table = tmp_path / "concepts.tsv"
    table.write_text("dog\tpuppy,hound\t1f436\n# tulip\t\t1f337\ncup\t\t2615 1f375\n", "utf-8")
    assert read_concepts(table) == [
        ("dog", ["puppy", "hound"], ["1f436"]),
        ("cup", [], ["2615", "1f375"]),
    ]
