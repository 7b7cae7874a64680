"""Weights are shuffled in a copy, from the top down, and never in the user's model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import tiny
import whyclip
from audit_toy import Toy
from families import SMALL
from whyclip.inputs import tokenize
from whyclip.studies.audit import audit
from whyclip.studies.audit.checks.shuffled_weights import likeness
from whyclip.studies.audit.shuffled import (
    EVERYTHING,
    HALF,
    LAST,
    copy_of,
    parameters_of,
    shuffle,
    stages_of,
)


def test_the_users_model_is_never_touched() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    view = whyclip.wrap(model, preprocess, tokenizer)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    flags = [p.requires_grad for p in model.parameters()]
    audit(view, Toy(3), ["grad_eclip", "raw_attention"], limit=3, edited=2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())


def test_shuffling_keeps_the_numbers_and_loses_their_order() -> None:
    weight = torch.nn.Parameter(torch.arange(100.0).view(10, 10))
    shuffle([weight], torch.Generator().manual_seed(0))
    assert sorted(weight.flatten().tolist()) == list(range(100))
    moved = (weight.flatten() != torch.arange(100.0)).float().mean()
    assert moved > 0.9


def test_stages_go_from_the_top_down_and_each_parameter_is_shuffled_once() -> None:
    view = whyclip.wrap(*tiny.openclip_parts(layers=4))
    copy, module = copy_of(view)
    assert module is not view.module
    names = {id(p): name for name, p in module.named_parameters()}
    stages = {
        stage: {names[id(p)] for p in parameters} for stage, parameters in stages_of(copy, module)
    }
    assert list(stages) == [LAST, HALF, "upper three quarters", EVERYTHING]
    prefixes = [f"visual.transformer.resblocks.{i}." for i in range(4)]
    for stage, blocks in ((LAST, [3]), (HALF, [2]), ("upper three quarters", [1])):
        image = {name for name in stages[stage] if name.startswith("visual.")}
        expected = {
            name for name in names.values() if any(name.startswith(prefixes[b]) for b in blocks)
        }
        assert image == expected
    assert sum(map(len, stages.values())) == len(names)
    assert set.union(*stages.values()) == set(names.values())


@pytest.mark.parametrize("family", SMALL)
def test_every_family_can_be_copied_and_unlearns_at_each_stage(family: str) -> None:
    view = whyclip.wrap(*SMALL[family]())
    copy, module = copy_of(view)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *view.image.input_size, generator=generator)
    texts = None
    if view.classes is None:
        texts = tokenize(view.tokenizer, ["a dog", "a red car"], view.text.context).ids
    inputs = {"image": pixels, "text": texts}
    with torch.no_grad():
        embeddings = {tower.side: tower.encode(inputs[tower.side]) for tower in view.towers}
        last = {tower.side: tower.encode(inputs[tower.side]) for tower in copy.towers}
        assert all(torch.equal(embeddings[side], last[side]) for side in embeddings)
        for stage, parameters in stages_of(copy, module):
            shuffle(parameters, generator)
            moved = {id(p) for p in parameters}
            for tower in copy.towers:
                now = tower.encode(inputs[tower.side])
                own_blocks = [p for block in tower.blocks for p in parameters_of(block)]
                unlearns = stage == EVERYTHING or any(id(p) in moved for p in own_blocks)
                assert torch.allclose(now, last[tower.side], atol=1e-4) != unlearns
                assert unlearns or stage != LAST or tower.opaque
                last[tower.side] = now
        assert all(torch.equal(embeddings[t.side], t.encode(inputs[t.side])) for t in view.towers)


def test_likeness_is_of_ranks_and_silence_is_no_likeness() -> None:
    true = torch.tensor([1.0, 2.0, 3.0, 9.0])
    assert likeness(true, true**3) == pytest.approx(1.0)
    assert likeness(true, -true) == pytest.approx(-1.0)
    assert likeness(true, torch.zeros(4)) == 0.0
    assert likeness(torch.zeros(4), true) != likeness(torch.zeros(4), true)  # NaN


def test_maps_of_the_copy_are_those_of_a_model_with_these_weights(
    monkeypatch: pytest.MonkeyPatch, view: whyclip.ModelView
) -> None:
    """Swap the shuffling for a known change, and explain a model so changed from the outside."""
    from whyclip.studies.audit import shuffled
    from whyclip.studies.audit.cases import AuditSetup, explained_case
    from whyclip.studies.audit.variants import variants_by_label
    from whyclip.studies.candidates import prompt_candidates

    def negate(parameters: Any, generator: Any) -> None:
        with torch.no_grad():
            for parameter in parameters:
                parameter.mul_(-0.9)

    change: Callable[..., None] = negate
    monkeypatch.setattr(shuffled, "shuffle", change)
    data = Toy(2)
    setup = AuditSetup(
        view, variants_by_label(view, ["contribution"]), prompt_candidates(view, data, list(data))
    )
    seen = explained_case(setup, data[0], 0)
    kept = shuffled.Kept("", seen.evidence, lambda: seen)
    stages = shuffled.measure_shuffled(setup, [kept], 0)
    model, preprocess, tokenizer = tiny.openclip_parts()
    negate(list(model.parameters()), None)
    other = whyclip.wrap(model, preprocess, tokenizer)
    texts = seen.encoded.targets().directions
    explanation = whyclip.explain(other, data[0].image, texts, method="contribution", sides="image")
    assert explanation.maps is not None
    last = torch.stack(seen.evidence.methods["contribution"].shuffled["image"][-1])
    assert stages[-1] == EVERYTHING
    assert torch.allclose(last, explanation.maps.flatten(1), atol=1e-5)
