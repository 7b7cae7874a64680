"""Predicted and measured changes, beside other routes to the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import reference
import tiny
import whyclip
from whyclip.encoded_prompts import encode_prompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import run_tower
from whyclip.pipeline import batches
from whyclip.studies.experiments import ExperimentInput
from whyclip.studies.experiments.linearity import STEPS, _at_input, _at_readout, _draw, linearity

PROMPTS = ["a dog", "a red car"]


@pytest.fixture(scope="module")
def forward_pass(setting: ExperimentInput) -> ForwardPass:
    [batch] = batches(setting.model, [setting.dataset[0].image], "model")
    return run_tower(
        setting.model.image, batch.pixels, encode_prompts(setting.model, PROMPTS).targets()
    )


@pytest.fixture(scope="module")
def drawn(forward_pass: ForwardPass) -> torch.Tensor:
    return _draw(forward_pass, 3, 0.25, (0, 0))


def test_sets_have_the_share_asked_for(drawn: torch.Tensor) -> None:
    patches = tiny.GRID[0] * tiny.GRID[1]
    assert drawn.shape == (3, patches)
    assert drawn.sum(1).tolist() == [patches // 4] * 3
    assert not drawn[0].equal(drawn[1])


def test_at_the_readout_the_prediction_is_the_contribution_taken_away(
    setting: ExperimentInput, forward_pass: ForwardPass, drawn: torch.Tensor
) -> None:
    explanation = whyclip.explain(
        setting.model, setting.dataset[0].image, PROMPTS, method="contribution"
    )
    assert explanation.maps is not None
    shares = explanation.maps.flatten(1)
    for step, predicted, _ in _at_readout(forward_pass, drawn):
        for n in range(len(PROMPTS)):
            for s in range(len(drawn)):
                expected = -step * float(shares[n][drawn[s]].sum())
                assert float(predicted[n, s]) == pytest.approx(expected, abs=1e-6)


def test_at_the_readout_the_change_is_that_of_the_written_out_block(
    setting: ExperimentInput, plain: Any, forward_pass: ForwardPass, drawn: torch.Tensor
) -> None:
    tower, block = plain.image_tower, plain.image_tower.blocks[-1]
    tokens = plain.tokens(setting.dataset[0].image)
    target = plain.texts(PROMPTS[1])[0].double()
    embedding, [trace] = reference.run(tower, tokens, 0, last=1)
    # The stream before the last block: the block's own output less what it adds.
    x = tokens
    for earlier in tower.blocks[:-1]:
        update, _ = reference.attend(tower, earlier, x, 0, tower.heads)
        x = x + update
        hidden = reference.activation(
            reference.norm(x, earlier.norm2) @ earlier.w1.T + earlier.b1, tower.quick
        )
        x = x + hidden @ earlier.w2.T + earlier.b2
    d = x.shape[1] // tower.heads
    o = trace.o[0].detach().clone()
    for i in range(drawn.shape[1]):
        if drawn[2, i]:
            for h, row in enumerate(trace.rows[0]):
                lanes = slice(h * d, (h + 1) * d)
                o[lanes] -= row[i + 1].detach() * trace.v[i + 1, lanes].detach()
    y = x[0] + block.wo @ o + block.bo
    hidden = reference.activation(reference.norm(y, block.norm2) @ block.w1.T + block.b1, False)
    y = y + block.w2 @ hidden + block.b2
    after = tower.projection @ reference.norm(y, tower.final_norm)
    change = reference.cosine(after, target) - reference.cosine(embedding, target)
    expected = float(change.detach())
    step, _, measured = _at_readout(forward_pass, drawn)[-1]
    assert step == 1.0
    assert float(measured[1, 2]) == pytest.approx(expected, abs=1e-5)


def test_at_the_input_the_change_is_that_of_the_library(
    setting: ExperimentInput, plain: Any, forward_pass: ForwardPass, drawn: torch.Tensor
) -> None:
    pixels = plain.preprocess(setting.dataset[0].image)
    p, columns = tiny.PATCH, tiny.GRID[1]
    target = plain.texts(PROMPTS[0])[0]

    def score(x: torch.Tensor) -> float:
        with torch.no_grad():
            embedding = plain.model.encode_image(x[None])[0].double()
        return float(embedding @ target.double() / embedding.norm())

    for step, predicted, measured in _at_input(forward_pass, drawn):
        for s in range(len(drawn)):
            faded, tiny_step = pixels.clone(), pixels.clone()
            for i in np.flatnonzero(drawn[s].numpy()):
                top, left = p * (i // columns), p * (i % columns)
                patch = (slice(None), slice(top, top + p), slice(left, left + p))
                faded[patch] *= 1 - step
                tiny_step[patch] *= 1 - 1e-3
            start = score(pixels)
            assert float(measured[0, s]) == pytest.approx(score(faded) - start, abs=1e-5)
            slope = (score(tiny_step) - start) / 1e-3
            assert float(predicted[0, s]) == pytest.approx(step * slope, rel=0.05, abs=2e-4)


def test_the_smaller_the_step_the_better_the_first_order(setting: ExperimentInput) -> None:
    result = linearity(setting, sets=4)
    table: Any = result.sections[0]
    for place in ("readout", "input"):
        errors = [row["error"].mean for row in table.rows if row["place"] == place]
        assert len(errors) == len(STEPS)
        assert errors[0] < 0.05
        assert errors[0] < errors[-1]
    assert len(result.findings) == 2
