"""Checks that ask what the model knows, on samples whose labels are what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import tiny
import whyclip
from audit_toy import BLOB, NAMES, Toy, planted
from whyclip.datasets.dataset import Sample
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import METHODS, Relevance
from whyclip.studies.audit import audit
from whyclip.studies.audit.checks.localisation import located, measure
from whyclip.studies.audit.evidence import Evidence, MethodEvidence, SampleEvidence


class Known(Toy):
    """Pictures labelled by the model itself, which so is right about all of them."""

    def __init__(self, n: int, view: whyclip.ModelView) -> None:
        super().__init__(n)
        self.view = view

    def sample(self, index: int) -> Sample:
        sample = super().sample(index)
        prompts = [f"a photo of a {name}." for name in NAMES]
        scores = whyclip.explain(self.view, sample.image, prompts, method="random").scores
        best = int(scores.argmax())
        return replace(sample, labels=(NAMES[best],), prompts=(prompts[best],), masks=None)


def test_a_computation_that_knows_less_is_caught(view: whyclip.ModelView) -> None:
    def upside_down(forward_pass: ForwardPass) -> Relevance:
        return Relevance(forward_pass.content_mask[:, None].float(), -forward_pass.embedding)

    other = planted("upside_down", upside_down)
    result = audit(view, Known(24, view), [other, "grad_eclip"], ["accuracy", "best_prompt"])
    bad, good = (result.finding(name, "accuracy") for name in ("upside_down", "grad_eclip"))
    assert bad is not None
    assert good is not None
    assert (bad.verdict, good.verdict) == ("fail", "pass")
    assert bad.figures["of the model"].mean == 1.0
    assert bad.figures["of the computation explained"].mean == 0.0
    assert result.verdict("upside_down", "fidelity", "image") == "fail"


def test_weights_that_could_not_have_decided_are_caught() -> None:
    # With one head, its attention is the spatial weights: they decide as the model does.
    view = whyclip.wrap(*tiny.openclip_parts(head_width=tiny.WIDTH), name="one head")

    def corner(forward_pass: ForwardPass, options: Mapping[str, Any]) -> Tensor:
        weights = torch.zeros(forward_pass.content_mask.shape)
        weights[:, -1] = 1.0
        return weights

    last_patch = replace(BLOB, name="last_patch", readout_weights=corner)
    data = Known(100, view)
    result = audit(
        view, data, ["raw_attention", last_patch, "contribution"], ["spatial_weights"], limit=100
    )
    good = result.finding("raw_attention", "spatial_weights")
    bad = result.finding("last_patch", "spatial_weights")
    none = result.finding("contribution", "spatial_weights")
    assert good is not None
    assert bad is not None
    assert none is not None
    assert good.verdict == "pass"
    assert good.figures["same best prompt"].mean == 1.0
    assert bad.value is not None
    assert bad.value.mean < -0.1
    assert bad.verdict == "fail"
    assert none.why_not == "the method has no spatial weights"


def test_reading_with_weights_is_a_weighted_mean_of_values(view: whyclip.ModelView) -> None:
    from whyclip.studies.audit.cases import AuditSetup, explained_case
    from whyclip.studies.audit.spatial import read_with
    from whyclip.studies.audit.variants import variants_by_label
    from whyclip.studies.candidates import prompt_candidates

    data = Toy(3)
    variants = variants_by_label(view, ["grad_eclip"])
    seen = explained_case(
        AuditSetup(view, variants, prompt_candidates(view, data, list(data))), data[0], 0
    )
    result = read_with(seen.forward_pass, variants["grad_eclip"])
    assert result is not None
    # The block once more, head by head and patch by patch, with the library's own modules.
    block = tiny.openclip_model().visual.transformer.resblocks[-1]
    with torch.no_grad():
        x = seen.forward_pass.states[tiny.LAYERS - 1][0]
        z = block.ln_1(x) @ block.attn.in_proj_weight.T + block.attn.in_proj_bias
        q, k, v = z.split(tiny.WIDTH, 1)
        r = [float(torch.cosine_similarity(q[0], k[i], dim=0)) for i in range(1, len(x))]
        weights = [(one - min(r)) / (max(r) - min(r)) for one in r]
        o = sum(w * v[i + 1] for i, w in enumerate(weights)) / sum(weights)
        row = x[0] + block.attn.out_proj(o)
        row = row + block.mlp(block.ln_2(row))
        visual = tiny.openclip_model().visual
        expected = visual.ln_post(row) @ visual.proj
    assert torch.allclose(result[0], expected, atol=1e-4)


def evidence(tables: list[tuple[tuple[bool, ...], list[list[float]]]]) -> Evidence:
    samples = []
    for number, (right, table) in enumerate(tables):
        scores = torch.zeros(len(table))
        sample = SampleEvidence(
            str(number), ("",) * len(table), len(right), (0,), right, scores, scores
        )
        values = {"energy_pointing": torch.tensor(table), "pointing_game": torch.tensor(table)}
        sample.methods["m"] = MethodEvidence(located=values)
        # By chance a tenth, in one picture more: what is taken off each label of it.
        chance = torch.full_like(values["energy_pointing"], 0.1)
        chance[0] += 0.1 * (number == 2) * len(table)
        sample.methods["random"] = MethodEvidence(located=dict.fromkeys(values, chance))
        samples.append(sample)
    return Evidence(tuple(samples), {"m": METHODS["grad_eclip"]})


def test_localisation_reads_the_true_or_the_predicted_map() -> None:
    # Rows are maps (own prompts, then the distractor's), columns are the labels' masks.
    samples = evidence(
        [
            ((True, False), [[0.9, 0.1], [0.2, 0.6], [0.3, 0.05]]),
            ((False,), [[0.5], [0.15]]),
            ((True,), [[0.7], [0.0]]),
        ]
    )
    true = located(samples, "m", "energy_pointing", predicted=False)
    assert list(true.values) == pytest.approx([0.8, 0.5, 0.4, 0.5])
    assert list(true.condition or ()) == [True, False, False, True]
    said = located(samples, "m", "energy_pointing", predicted=True)
    assert list(said.values) == pytest.approx([0.8, -0.05, 0.05, 0.5])
    values = measure(samples, "m", "image", predicted=True).values
    assert values is not None
    assert values.interval().mean == pytest.approx(0.65 - 0.0)


def test_localisation_needs_both_right_and_wrong() -> None:
    result = measure(evidence([((True,), [[0.5]])]), "m", "image", predicted=False)
    assert result.values is None
    assert result.why_not == "the model got no label wrong"


def test_without_masks_or_labels_checks_say_so_and_the_rest_goes_on(
    view: whyclip.ModelView,
) -> None:
    bare = audit(view, Toy(4, labels=False, masks=False), ["grad_eclip"], limit=4, edited=2)
    reasons = {f.check: f.why_not for f in bare.of("grad_eclip") if f.verdict == "not applicable"}
    assert reasons["accuracy"] == reasons["spatial_weights"] == "needs labels"
    assert reasons["localisation_true"].startswith("needs")
    assert reasons["prompts_follow"] == "needs masks"
    measured = {f.check for f in bare.of("grad_eclip") if f.value is not None}
    assert {"score_gap", "best_prompt", "patch_masked", "deletion", "shuffled_weights"} <= measured
    unmasked = audit(view, Toy(4, masks=False), ["grad_eclip"], ["accuracy", "prompts_follow"])
    assert unmasked.finding("grad_eclip", "prompts_follow").verdict == "not applicable"  # type: ignore[union-attr]
    assert unmasked.finding("grad_eclip", "accuracy").value is not None  # type: ignore[union-attr]


def test_the_page_says_what_was_not_measured(view: whyclip.ModelView) -> None:
    bare = audit(view, Toy(4, labels=False, masks=False), ["grad_eclip"], limit=4, edited=1)
    text = "\n".join(part for part in bare.report().sections if isinstance(part, str))
    assert "not applicable: needs masks" in text
    assert "not applicable: needs labels" in text
