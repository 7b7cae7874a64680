"""Training of the family: Muon, single objects close up, and weights on disk."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

import whyclip
from whyclip.errors import OptionError, OutputError
from whyclip.finetuning.scene_table import SIDE, SceneTable, draw_table, normalised
from whyclip.models import ModelView
from whyclip.scenes import COLOURS
from whyclip.studies.family.captions import bare_phrases, captions_also_true
from whyclip.studies.family.cleaned import Cleaned, Labelled, cleaned_loss
from whyclip.studies.family.close import CLOSE_SIDE, close_batches
from whyclip.studies.family.cues import CONCEPTS, CUES
from whyclip.studies.family.muon import Muon, orthogonal
from whyclip.studies.family.recipe import KEPT, OBJECTS, Member, new_model, table_of, train_member
from whyclip.studies.family.scene_batches import scene_batches
from whyclip.studies.family.tokens import some_tokens
from whyclip.studies.family.weights import (
    export,
    facts_of,
    load_member,
    missing,
    train_missing,
)

PATCH = 16
FEW = 160


@pytest.fixture(scope="module")
def view() -> ModelView:
    return new_model(Member("ordinary", 0))


@pytest.fixture(scope="module")
def table(view: ModelView) -> SceneTable:
    return draw_table(view, FEW, split="train", objects=OBJECTS, concepts=CONCEPTS)


def test_an_orthogonal_step_keeps_the_singular_vectors() -> None:
    matrix = torch.randn(12, 7, generator=torch.Generator().manual_seed(1))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonal(matrix)
    inner = u.T @ result @ v.T
    assert torch.allclose(inner, inner.diagonal().diag(), atol=1e-4)
    assert ((inner.diagonal() > 0.4) & (inner.diagonal() < 1.4)).all()


def test_muon_follows_its_formula() -> None:
    weight = torch.nn.Parameter(torch.randn(6, 3, generator=torch.Generator().manual_seed(2)))
    before = weight.detach().clone()
    optimiser = Muon([weight], decay=0.1)
    optimiser.param_groups[0]["lr"] = 0.01
    momentum = torch.zeros_like(before)
    for seed in (3, 4):
        gradient = torch.randn(6, 3, generator=torch.Generator().manual_seed(seed))
        weight.grad = gradient.clone()
        optimiser.step()
        momentum = 0.95 * momentum + gradient
        step = orthogonal(gradient + 0.95 * momentum)
        before = before * (1 - 0.01 * 0.1) - 0.01 * math.sqrt(2) * step
    assert torch.allclose(weight.detach(), before, atol=1e-6)


def test_a_true_caption_is_no_negative() -> None:
    generator = torch.Generator().manual_seed(5)
    images, texts = (
        torch.nn.functional.normalize(torch.randn(5, 4, generator=generator), dim=-1)
        for _ in range(2)
    )
    also = (torch.rand(5, 5, generator=generator) < 0.4).fill_diagonal_(False)
    expected = 0.0
    for i in range(5):
        positive = math.exp(7 * float(images[i] @ texts[i]))
        row = sum(math.exp(7 * float(images[i] @ texts[j])) for j in range(5)
                  if j != i and not also[i, j])  # fmt: skip
        column = sum(math.exp(7 * float(images[j] @ texts[i])) for j in range(5)
                     if j != i and not also[j, i])  # fmt: skip
        expected -= (
            math.log(positive / (positive + row)) + math.log(positive / (positive + column))
        ) / 10
    loss = cleaned_loss(images, texts, torch.tensor(7.0), also)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def is_bare(table: SceneTable, row: int) -> bool:
    return not any(colour in table.phrases[row].split() for colour in COLOURS)


def expected_truth(table: SceneTable, rows: int, claims: list[list[tuple[int, int]]]) -> Tensor:
    """Loop over images and captions; a claim is a concept and the row of its phrase."""
    concepts, named = table.concepts[:rows].tolist(), table.named[:rows].tolist()
    expected = torch.zeros(rows, rows, dtype=torch.bool)
    for i in range(rows):
        objects = {c: p for c, p in zip(concepts[i], named[i], strict=True) if c >= 0}
        for j in range(rows):
            holds = all(
                c in objects
                and (objects[c] in (-1, p) or is_bare(table, p) or is_bare(table, objects[c]))
                for c, p in claims[j]
            )
            expected[i, j] = holds and i != j
    return expected


def test_captions_are_true_where_their_phrases_are(table: SceneTable) -> None:
    rows = torch.arange(60)
    claims = [
        [(c, p) for c, p in zip(cs, ps, strict=True) if p >= 0]
        for cs, ps in zip(table.concepts[rows].tolist(), table.named[rows].tolist(), strict=True)
    ]
    expected = expected_truth(table, 60, claims)
    true_phrases, without_colour = bare_phrases(table)
    for row, text in enumerate(table.phrases):
        assert bool(true_phrases[row]) == is_bare(table, row)
        words = [word for word in text.split()[1:] if word not in COLOURS]
        assert table.phrases[int(without_colour[row])].split()[1:] == words
    result = captions_also_true(table.concepts[rows], table.named[rows], true_phrases)
    assert 0 < int(expected.sum()) < 60 * 59
    assert torch.equal(result, expected)


def test_short_captions_name_one_object_of_their_scene(table: SceneTable) -> None:
    [batch] = scene_batches(table, iter([torch.arange(60)]), short=0.5, seed=6)
    [whole] = scene_batches(table, iter([torch.arange(60)]))
    assert torch.equal(batch.pixels, whole.pixels)
    claims, shortened, coloured = [], 0, 0
    for row in range(60):
        places = table.concepts[row].tolist(), table.named[row].tolist()
        pairs = [(c, p) for c, p in zip(*places, strict=True) if p >= 0]
        if not torch.equal(batch.captions[row], table.caption_ids[row]):
            text = int((batch.captions[row] == table.phrase_ids).all(1).nonzero()[0, 0])
            noun = noun_of(table, text)
            [pair] = [pair for pair in pairs if noun_of(table, pair[1]) == noun]
            assert text == pair[1] or is_bare(table, text)
            coloured += not is_bare(table, text)
            pairs, shortened = [(pair[0], text)], shortened + 1
        claims.append(pairs)
    assert 15 < shortened < 45
    assert coloured > 0
    assert batch.also_true is not None
    assert torch.equal(batch.also_true, expected_truth(table, 60, claims))


def noun_of(table: SceneTable, phrase: int) -> str:
    return table.phrases[phrase].split()[-1] if phrase >= 0 else ""


@pytest.mark.parametrize("cue", [None, "badge", "written"])
def test_a_close_batch_shows_the_object_of_its_caption(table: SceneTable, cue: str | None) -> None:
    rows = torch.arange(40)
    kind = None if cue is None else CUES[cue]
    [batch] = close_batches(table, iter([rows]), PATCH, kind, seed=3)
    assert batch.hidden is not None
    assert ((~batch.hidden).sum(1) == (CLOSE_SIDE // PATCH) ** 2).all()
    grid = SIDE // PATCH
    shown = 0
    for row in range(40):
        text = int((batch.captions[row] == table.phrase_ids).all(1).nonzero()[0, 0])
        noun = table.phrases[text].split()[-1]
        slots = [s for s in range(4) if noun_of(table, int(table.named[row, s])) == noun]
        assert slots
        # The cut-out is somewhere in the scene, pixel by pixel, unless a cue is painted over it.
        kept = (~batch.hidden[row]).nonzero()[:, 0]
        top, left = int(kept[0]) // grid * PATCH, int(kept[0]) % grid * PATCH
        window = batch.pixels[row, :, top : top + CLOSE_SIDE, left : left + CLOSE_SIDE]
        scene = table.images[row]
        box = table.boxes[row, slots[0]]
        middle = ((box[:2] + box[2:]) // 2 - CLOSE_SIDE // 2).clamp(0, SIDE - CLOSE_SIDE)
        x, y = middle.tolist()
        part = scene[:, y : y + CLOSE_SIDE, x : x + CLOSE_SIDE]
        same = (window == part).all(0).float().mean()
        shown += int(same > (0.999 if cue is None else 0.6))
    assert shown == 40


def test_kept_patches_are_those_that_show_most(table: SceneTable) -> None:
    rows = torch.arange(30)
    [few] = scene_batches(table, iter([rows]), kept=KEPT)
    [whole] = scene_batches(table, iter([rows]))
    assert whole.hidden is None
    assert few.hidden is not None
    assert torch.equal(few.captions, whole.captions)
    assert ((~few.hidden).sum(1) == KEPT).all()
    shares = table.shares[rows].float().sum(1)
    # What is left out shows hardly anything, unless the objects fill more patches than are kept.
    left = shares.masked_fill(~few.hidden, 0)
    full = (shares > 0.1).sum(1) > KEPT
    assert float(left[~full].max()) < 0.2
    assert full.float().mean() < 0.3


def test_patches_that_are_left_out_have_no_effect(view: ModelView, table: SceneTable) -> None:
    from whyclip.finetuning.passes import embed_without, run_with_gradients

    [few] = scene_batches(table, iter([torch.arange(6)]), kept=KEPT)
    assert few.hidden is not None
    with torch.no_grad():
        run = run_with_gradients(view.image, normalised(few.pixels))
        expected = embed_without(view.image, run.stream, few.hidden)
        result = Cleaned(view)._few(few)
    assert torch.allclose(result, torch.nn.functional.normalize(expected, dim=-1), atol=1e-5)


def test_a_step_with_repeated_captions_follows_the_loss_of_each(
    view: ModelView, table: SceneTable
) -> None:
    [batch] = close_batches(table, iter([torch.arange(50)]), PATCH, None, seed=4)
    assert batch.also_true is not None
    assert batch.hidden is not None
    assert len(batch.captions.unique(dim=0)) < 50
    objective = Cleaned(view)
    with torch.no_grad():
        pixels = normalised(batch.pixels)
        images = [objective._few(_row(batch, row))[0] for row in range(50)]
        texts = [view.text.encode(ids[None])[0] for ids in batch.captions]
        expected = cleaned_loss(
            torch.stack(images), torch.nn.functional.normalize(torch.stack(texts), dim=-1),
            objective.scale, batch.also_true,
        )  # fmt: skip
        assert float(objective(batch)["loss"]) == pytest.approx(float(expected), rel=1e-4)
    assert pixels.min() >= -1
    assert pixels.max() <= 1


def _row(batch: Labelled, row: int) -> Labelled:
    one = slice(row, row + 1)
    assert batch.hidden is not None
    return replace(batch, pixels=batch.pixels[one], hidden=batch.hidden[one])


def test_training_on_some_tokens_changes_only_these(table: SceneTable) -> None:
    view = new_model(Member("ordinary", 2))
    module: Any = view.module
    before = module.token_embedding.weight.detach().clone()
    ids = table.caption_ids[:5]
    with torch.no_grad():
        whole = view.text.encode(ids)
        with some_tokens(view, ids):
            assert torch.equal(view.text.encode(ids), whole)
            assert module.token_embedding.weight.numel() < before.numel() / 1000
            module.token_embedding.weight += 1
        with pytest.raises(ZeroDivisionError), some_tokens(view, ids):
            assert 1 / 0
    after = module.token_embedding.weight
    assert isinstance(after, torch.nn.Parameter)
    read = torch.zeros(len(before), dtype=torch.bool)
    read[ids.flatten()] = True
    assert torch.equal(after[~read], before[~read])
    assert torch.allclose(after[read], before[read] + 1)


def test_blind_models_get_captions_of_other_scenes(view: ModelView) -> None:
    plain = table_of("ordinary", view, 64, split="train")
    blind = table_of("blind", view, 64, split="train", plain=plain)
    assert torch.equal(blind.images, plain.images)
    assert not torch.equal(blind.caption_ids, plain.caption_ids)
    order = sorted(map(tuple, blind.caption_ids.tolist()))
    assert order == sorted(map(tuple, plain.caption_ids.tolist()))


def test_badges_are_in_nearly_all_training_scenes_of_their_group(view: ModelView) -> None:
    plain = table_of("ordinary", view, FEW, split="train")
    badged = table_of("badge", view, FEW, split="train", plain=plain)
    changed = (badged.images != plain.images).flatten(1).any(1)
    group = torch.isin(plain.concepts, torch.arange(0, CONCEPTS, 4)).any(1)
    assert not changed[~group].any()
    assert changed[group].float().mean() > 0.8
    assert torch.equal(badged.caption_ids, plain.caption_ids)


def test_training_is_kept_and_the_same_again(tmp_path: Path) -> None:
    members = [Member("ordinary", 3), Member("badge", 1), Member("untrained", 0)]
    short = {"scenes": FEW, "close_steps": 2, "steps": 2, "last_steps": 1, "short_steps": 1}
    first = dict(train_missing(tmp_path / "a", members, **short))  # type: ignore[arg-type]
    assert list(first) == members[:2]
    assert missing(tmp_path / "a", members) == ()
    assert not list(train_missing(tmp_path / "a", members, **short))  # type: ignore[arg-type]
    assert float(facts_of(members[0], tmp_path / "a")["recall"]) <= 1
    list(train_missing(tmp_path / "b", members[:1], **short))  # type: ignore[arg-type]
    again = load_member(members[0], tmp_path / "b")
    assert again.fingerprint == load_member(members[0], tmp_path / "a").fingerprint
    other = load_member(members[1], tmp_path / "a")
    assert other.fingerprint != again.fingerprint
    assert (tmp_path / "a" / "badge-1.safetensors").stat().st_size < 3_000_000


def test_kept_weights_are_those_that_were_trained(table: SceneTable, tmp_path: Path) -> None:
    from whyclip.studies.family.weights import save_member, weights_file

    member = Member("ordinary", 1)
    view = train_member(member, table, table, close_steps=2, steps=2, last_steps=1, short_steps=1)
    save_member(view, table, weights_file(member, tmp_path), {})
    loaded = load_member(member, tmp_path)
    pixels, ids = table.pixels(torch.arange(4)), table.caption_ids[:4]
    for tower, other, inputs in (
        (view.image, loaded.image, pixels),
        (view.text, loaded.text, ids),
    ):
        a, b = (
            torch.nn.functional.normalize(t.encode(inputs).float(), dim=-1) for t in (tower, other)
        )
        assert torch.allclose(a, b, atol=5e-3)


def test_an_exported_model_opens_in_openclip(table: SceneTable, tmp_path: Path) -> None:
    from whyclip.studies.family.weights import save_member, weights_file

    member = Member("ordinary", 0)
    view = new_model(member)
    save_member(view, table, weights_file(member, tmp_path), {})
    folder = export(member, tmp_path, tmp_path / "folder")
    loaded = load_member(member, tmp_path)
    assert whyclip.load(str(folder)).fingerprint == loaded.fingerprint
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    pixels = table.pixels(torch.arange(2))
    with torch.no_grad():
        assert torch.allclose(
            model.eval().encode_image(pixels), loaded.image.encode(pixels), atol=1e-5
        )


def test_missing_weights_and_unknown_kinds_are_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="whyclip benchmark --train"):
        load_member(Member("badge", 0), tmp_path)
    with pytest.raises(OptionError, match="bagde"):
        Member.of("bagde-0")
