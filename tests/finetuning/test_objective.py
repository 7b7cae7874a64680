"""The objective of a training step against plain recomputations of its parts."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import families
import tiny
import whyclip
from steps import FAMILIES, PATCHES, batch_of, examples, view_of
from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.finetuning.batch import Batch, Example, make_batch, token_ids
from whyclip.finetuning.guidance import Guidance, StepForwardPass, _captured, supports
from whyclip.finetuning.losses import phrase_region_terms, region_features
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.passes import embed_without, readout_contribution, run_with_gradients
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.methods import METHODS
from whyclip.models import ModelView
from whyclip.regions.dense import dense_features

QUICK = sorted(
    name for name, method in METHODS.items() if "image" in method.sides and not method.slow
)


@pytest.fixture(scope="module")
def view() -> ModelView:
    return view_of()


@pytest.fixture(scope="module")
def batch(view: ModelView) -> Batch:
    return batch_of(view)


def test_a_batch_lists_each_phrase_once(batch: Batch) -> None:
    assert batch.pairs.tolist() == [[0, 0], [0, 1], [2, 2], [2, 3], [2, 4], [3, 3]]
    assert len(batch.phrases) == 5
    assert batch.hidden is not None
    assert batch.hidden.sum(-1).tolist() == [2, 0, 0, 2]


def test_shares_of_patches_are_means_of_their_pixels(batch: Batch) -> None:
    assert batch.true_maps is not None
    row = 0
    for example in examples():
        for mask in example.phrase_masks or ():
            cells = mask.reshape(tiny.GRID[0], tiny.PATCH, tiny.GRID[1], tiny.PATCH)
            assert np.allclose(batch.true_maps[row], cells.mean((1, 3)).flatten(), atol=1e-5)
            row += 1


def test_a_mask_of_another_size_is_refused(view: ModelView) -> None:
    [example, *_] = examples()
    wrong = Example("cat.jpg", example.image, "a cat", hidden=np.zeros((3, 5), dtype=bool))
    with pytest.raises(whyclip.errors.InputError, match=r"cat\.jpg.*5x3.*32x32"):
        make_batch(view, [wrong], extract=lambda _: [])


@pytest.mark.parametrize("template", ["{} {x}", "{}{}", "{} }", "{0} {}", "{!r} {}"])
def test_only_the_braces_of_a_template_are_replaced(view: ModelView, template: str) -> None:
    example = replace(examples()[0], phrases=None)
    batch = make_batch(view, [example], extract=lambda _: ["{y} dog"], template=template)
    written = "{y} dog".join(template.split("{}"))
    assert batch.phrases.tolist() == token_ids(view, [written]).tolist()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_training_pass_is_the_models_own(family: str) -> None:
    view = view_of(family)
    batch = batch_of(view)
    for tower, inputs in ((view.image, batch.pixels), (view.text, batch.captions)):
        for checkpointed in (False, True):
            run = run_with_gradients(tower, inputs, checkpoint_blocks=checkpointed)
            assert torch.allclose(run.embedding, tower.encode(inputs), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_with_targets_by_image_draws_the_maps_it_draws_with_shared_ones(
    family: str,
) -> None:
    view = view_of(family)
    batch = batch_of(view)
    run = run_with_gradients(view.image, batch.pixels)
    phrases = run_with_gradients(view.text, batch.phrases).unit.detach()
    declared = [name for name, method in METHODS.items() if method.by_image]
    assert {"grad_eclip", "attention_eclip", "contribution", "grad_cam", "maskclip"} <= {*declared}
    image, phrase = batch.pairs.T
    for name in declared:
        guidance = Guidance(view, name)
        assert guidance.variant is not None
        forward_pass = run_tower(
            view.image, batch.pixels, Targets(phrases), keep=guidance.blocks_needed
        )
        shared = guidance.variant.relevance(forward_pass).values[image, phrase]
        if METHODS[name].scope == "features":
            shared = shared - shared.amin(-1, keepdim=True)
        shared = shared.relu()
        # A map that is zero everywhere guides as a uniform one.
        shared = torch.where((shared <= 0).all(-1, keepdim=True), 1.0, shared)
        maps = guidance.maps(run, batch.pixels, phrases, batch.pairs)
        assert torch.allclose(maps, shared, atol=1e-5 * float(shared.max())), name


@pytest.mark.parametrize("name", QUICK)
def test_every_quick_method_can_guide(view: ModelView, batch: Batch, name: str) -> None:
    losses = Objective(copy.deepcopy(view), guidance=name)(batch)
    assert torch.isfinite(losses["local"])
    assert losses["local"].requires_grad


@pytest.mark.parametrize("guidance", ["grad_eclip", "uniform", "true"])
def test_the_local_loss_is_the_formula_over_pairs(
    view: ModelView, batch: Batch, guidance: str
) -> None:
    objective = Objective(view, guidance=guidance)
    losses = objective(batch)
    run = run_with_gradients(view.image, batch.pixels)
    phrases = run_with_gradients(view.text, batch.phrases).unit
    dense = dense_features(view.image, run.inputs[-1], PATCHES)
    texts = ["a red dog", "the tree", "dog", "car", "a tall house"]
    content = [set(text.split()) - {"a", "the"} for text in texts]
    expected = []
    for number, (image, phrase) in enumerate(batch.pairs.tolist()):
        if guidance == "uniform":
            heat = torch.ones(PATCHES)
        elif guidance == "true":
            assert batch.true_maps is not None
            heat = batch.true_maps[number]
        else:
            targets = Targets(phrases[phrase][None].detach())
            one = run_tower(view.image, batch.pixels[image][None], targets)
            heat = METHODS["grad_eclip"].relevance(one).values[0, 0, 1:]
            heat = heat if heat.any() else torch.ones(PATCHES)
        region = region_features(heat[None], dense[image][None])
        excluded = torch.tensor(
            [[bool(words <= content[phrase] or words >= content[phrase]) for words in content]]
        )
        expected.append(
            phrase_region_terms(
                region, phrases, torch.tensor([phrase]), excluded, objective.scale.detach()
            )
        )
    assert losses["local"].item() == pytest.approx(
        float(torch.cat(expected).detach().mean()), rel=1e-3
    )
    whole = losses["global"] + losses["local"]
    assert losses["loss"].item() == pytest.approx(whole.item(), rel=1e-6)


def test_removed_patches_are_as_if_they_had_never_been_there(view: ModelView, batch: Batch) -> None:
    assert batch.hidden is not None
    run = run_with_gradients(view.image, batch.pixels)
    without = embed_without(view.image, run.stream, batch.hidden)
    for row in range(len(batch)):
        kept = torch.cat([torch.tensor([True]), ~batch.hidden[row]])
        x = run.stream.x[row][kept][None]
        for block in view.image.blocks:
            x = block.forward(x, None)
        assert torch.allclose(without[row], view.image.project(x[:, 0])[0], atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_differentiable_map_is_the_method_contribution(family: str) -> None:
    view = view_of(family)
    batch = batch_of(view)
    run = run_with_gradients(view.image, batch.pixels)
    texts = run_with_gradients(view.text, batch.captions).unit
    relevance = readout_contribution(
        view.image, run.stream, run.inputs[-1], texts, PATCHES
    ).detach()
    forward_pass = run_tower(view.image, batch.pixels, Targets(texts.detach()))
    maps = (
        METHODS["contribution"].relevance(forward_pass).values[:, :, forward_pass.content_mask[0]]
    )
    expected = torch.stack([maps[row, row] for row in range(len(batch))])
    assert torch.allclose(relevance, expected, atol=1e-5 * float(expected.abs().max()))


def test_shortcut_losses_are_means_over_marked_images(view: ModelView, batch: Batch) -> None:
    losses = Objective(view, local=0, removal=1.0, relevance=2.0)(batch)
    texts = F.normalize(view.text.encode(batch.captions), dim=-1)
    removal, share = [], []
    for row in (0, 3):
        run = run_with_gradients(view.image, batch.pixels[row][None])
        hidden = torch.zeros(1, PATCHES, dtype=torch.bool)
        hidden[0, :2] = True
        after = F.normalize(embed_without(view.image, run.stream, hidden), dim=-1)
        drop = float((run.unit[0] - after[0]) @ texts[row])
        removal.append(max(drop, 0.0))
        relevance = readout_contribution(
            view.image, run.stream, run.inputs[-1], texts[row][None], PATCHES
        )[0]
        share.append(float(relevance[:2].square().sum() / relevance.square().sum()))
    assert float(losses["removal"]) == pytest.approx(np.mean(removal), abs=1e-6)
    assert float(losses["relevance"]) == pytest.approx(np.mean(share), rel=1e-4)
    whole = losses["global"] + losses["removal"] + 2 * losses["relevance"]
    assert losses["loss"].item() == pytest.approx(whole.item(), rel=1e-6)


@pytest.mark.parametrize("part", ["local", "removal", "relevance"])
def test_each_loss_falls_when_it_is_trained_on(part: str) -> None:
    view = view_of()
    batch = batch_of(view)
    weights: dict[str, Any] = {"local": 0.0, "removal": 0.0, "relevance": 0.0} | {part: 1.0}
    objective = Objective(view, **weights)
    optimiser = torch.optim.SGD(objective.parameters(), lr=1e-3)
    first = last = 0.0
    for step in range(12):
        value = objective(batch)[part]
        first, last = (float(value), last) if step == 0 else (first, float(value))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    assert last < first


def test_a_batch_without_phrases_or_marks_still_has_a_gradient(view: ModelView) -> None:
    bare = [Example(e.id, e.image, e.caption, ()) for e in examples()]
    batch = make_batch(view, bare, extract=lambda _: [])
    losses = Objective(view, removal=1.0, relevance=1.0)(batch)
    assert [float(losses[name]) for name in ("local", "removal", "relevance")] == [0, 0, 0]
    losses["loss"].backward()


def test_the_order_of_images_changes_nothing(view: ModelView) -> None:
    plain = Objective(view, removal=1.0, relevance=1.0)
    forward = plain(make_batch(view, examples(), extract=lambda _: []))
    backward = plain(make_batch(view, examples()[::-1], extract=lambda _: []))
    for name, value in forward.items():
        assert float(value) == pytest.approx(float(backward[name]), rel=1e-4), name


def test_opaque_towers_and_unknown_guidance_are_refused() -> None:
    opaque = whyclip.wrap(*families.SMALL["resnet"]())
    with pytest.raises(UnsupportedModelError):
        Objective(opaque if opaque.image.opaque else _averaging())
    view = view_of()
    with pytest.raises(OptionError, match="grad_eclip"):
        Objective(view, guidance="gradeclip")
    with pytest.raises(OptionError, match="leave_one_out"):
        Objective(view, guidance="leave_one_out")
    with pytest.raises(OptionError, match="local=-1"):
        Objective(view, local=-1)
    assert supports(view.image, "maskclip")
    assert not supports(_averaging().image, "uniform")


def _averaging() -> ModelView:
    return whyclip.wrap(*families.vit(pool_type="avg"))


def test_maps_stay_when_rounding_moves_the_pass(view: ModelView, batch: Batch) -> None:
    run = run_with_gradients(view.image, batch.pixels)
    phrases = run_with_gradients(view.text, batch.phrases).unit
    with torch.autocast("cpu", torch.bfloat16):
        rounded = run_with_gradients(view.image, batch.pixels)
        maps = Guidance(view, "grad_eclip").maps(rounded, batch.pixels, phrases, batch.pairs)
    exact = Guidance(view, "grad_eclip").maps(run, batch.pixels, phrases, batch.pairs)
    together = torch.stack([maps.flatten(), exact.flatten()])
    assert float(torch.corrcoef(together)[0, 1]) > 0.98
    assert isinstance(_captured(view.image, run, batch.pixels, 1), StepForwardPass)


def test_scale_and_bias_follow_the_model() -> None:
    view = view_of("siglip")
    losses = Objective(view, local=0)(batch_of(view))
    texts: Tensor = F.normalize(view.text.encode(batch_of(view).captions), dim=-1)
    images = F.normalize(view.image.encode(batch_of(view).pixels), dim=-1)
    logits = view.logit_scale * images @ texts.T + (view.logit_bias or 0)
    signs = 2 * torch.eye(len(logits)) - 1
    expected = -F.logsigmoid(signs * logits).sum() / len(logits)
    assert float(losses["global"]) == pytest.approx(float(expected), rel=1e-4)
