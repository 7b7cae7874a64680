"""Bad methods are planted, and each is caught by the check that is there for it."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

import tiny
import whyclip
from audit_toy import BLOB, GOOD, NAMES, Toy
from whyclip.errors import OptionError
from whyclip.studies.audit import CHECKS, Audit, audit

N = 40


@lru_cache(maxsize=1)
def toy_audit() -> Audit:
    view = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    methods = [
        "grad_eclip",
        "grad_eclip:heads=single",
        "raw_attention",
        "decomposition",
        BLOB,
        GOOD,
    ]
    return audit(view, Toy(N), methods, limit=N, edited=24)


def verdict(method: str, check: str, side: str = "image") -> str:
    finding = toy_audit().finding(method, check, side)  # type: ignore[arg-type]
    assert finding is not None
    return finding.verdict


def test_a_centre_blob_stays_when_the_weights_are_shuffled() -> None:
    finding = toy_audit().finding("centre_blob", "shuffled_weights")
    assert finding is not None
    assert finding.verdict == "fail"
    assert finding.value is not None
    assert finding.value.mean == pytest.approx(1.0)
    assert toy_audit().verdict("centre_blob", "consistency") == "fail"


@pytest.mark.parametrize("blind", ["centre_blob", "raw_attention"])
def test_a_map_that_does_not_read_the_prompt_is_caught_by_both_checks_of_prompts(
    blind: str,
) -> None:
    assert verdict(blind, "prompts_differ") == "fail"
    assert verdict(blind, "prompts_follow") == "fail"
    assert verdict("grad_eclip", "prompts_differ") == "pass"


@pytest.mark.parametrize(
    ("check", "side"),
    [
        ("computation", "image"),
        ("computation", "text"),
        ("score_gap", "image"),
        ("score_gap", "text"),
        # Of a model that was never trained, one image head for four moves few best prompts.
        ("best_prompt", "text"),
    ],
)
def test_a_single_head_re_run_is_not_the_model(check: str, side: str) -> None:
    assert verdict("grad_eclip:heads=single", check, side) == "fail"
    assert verdict("grad_eclip", check, side) == "pass"


def test_a_method_that_measures_what_hiding_a_patch_costs_passes() -> None:
    finding = toy_audit().finding("by_masking", "patch_masked")
    assert finding is not None
    assert finding.value is not None
    assert finding.value.mean > 0.999  # it is the same number by another way
    for check in ("computation", "score_gap", "best_prompt", "accuracy", "prompts_differ"):
        assert verdict("by_masking", check) == "pass"
    for check in ("deletion", "insertion", "patch_blurred", "shuffled_weights"):
        assert verdict("by_masking", check) == "pass"
    assert verdict("random", "patch_masked") != "pass"


def test_an_additive_method_is_held_to_its_sum() -> None:
    assert verdict("decomposition", "completeness") == "pass"
    finding = toy_audit().finding("grad_eclip", "completeness")
    assert finding is not None
    assert finding.why_not == "promises no sum"


def test_a_sum_that_is_not_kept_is_caught(view: whyclip.ModelView) -> None:
    from dataclasses import replace

    from whyclip.forward.forward_pass import ForwardPass
    from whyclip.methods import METHODS, Relevance

    real = METHODS["decomposition"]

    def leaky(forward_pass: ForwardPass, *, start_layer: int = 0) -> Relevance:
        result = real.relevance(forward_pass, start_layer=start_layer)
        gap = 0.5 * forward_pass.targets.score(result.embedding)
        return replace(result, values=result.values / 2, diagnostics={"additivity gap": gap})

    planted = replace(real, name="leaky", relevance=leaky)
    finding = audit(view, Toy(20), [planted], ["completeness"]).finding("leaky", "completeness")
    assert finding is not None
    assert finding.verdict == "fail"
    assert finding.value is not None
    assert finding.value.mean == pytest.approx(0.5, abs=1e-5)


def test_the_score_gap_is_that_of_the_certificates(view: whyclip.ModelView) -> None:
    result = audit(view, Toy(6), ["grad_eclip:heads=single"], ["score_gap"])
    for side in ("image", "text"):
        gaps: list[float] = []
        for sample in Toy(6):
            scores = whyclip.explain(view, sample.image, [f"a photo of a {x}." for x in NAMES])
            order = scores.scores.argsort(descending=True).tolist()
            distractor = next(i for i in order if NAMES[i] not in sample.labels)
            prompts = [*sample.prompts, f"a photo of a {NAMES[distractor]}."]
            certificate = whyclip.explain(
                view, sample.image, prompts, method="grad_eclip", heads="single"
            ).certificate
            explained = certificate.scores[side]  # type: ignore[index]
            gaps += [abs(a - b) for a, b in zip(explained, certificate.score_model, strict=True)]
        value = result.finding("grad_eclip:heads=single", "score_gap", side)  # type: ignore[arg-type]
        assert value is not None
        assert value.value is not None
        assert value.value.mean == pytest.approx(sum(gaps) / len(gaps), abs=1e-6)


def test_single_and_keep_are_told_apart() -> None:
    cells = {(c.heads, c.geometry): c for c in toy_audit().cells}
    assert cells["native", "model"].gap.mean < 1e-5
    assert cells["native", "model"].same.mean == 1
    assert cells["single", "model"].gap.mean > 1e-3
    # These pictures have the model's own size: another geometry changes nothing, and that is said.
    assert cells["native", "keep"].gap.mean < 1e-5
    assert "geometry 'keep' equals 'model'" in toy_audit().notes[0]


def test_every_check_says_what_it_is() -> None:
    for name, check in CHECKS.items():
        assert check.name == name
        assert check.question.endswith("?")
        assert check.reason
        assert check.formula
        assert check.passes != check.fails


def test_a_threshold_can_be_moved(view: whyclip.ModelView) -> None:
    def run(threshold: float) -> str:
        finding = audit(
            view, Toy(20), ["grad_eclip"], ["score_gap"], thresholds={"score_gap": threshold}
        ).finding("grad_eclip", "score_gap")
        assert finding is not None
        assert finding.threshold == threshold
        return finding.verdict

    assert run(1e-3) == "pass"
    assert run(1e-12) == "fail"


def test_the_same_seed_gives_the_same_audit(view: whyclip.ModelView) -> None:
    runs = [
        audit(view, Toy(9), ["grad_eclip"], limit=8, edited=2, seed=seed).to_json()["findings"]
        for seed in (3, 3, 4)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_wrong_names_and_numbers_are_refused(view: whyclip.ModelView) -> None:
    with pytest.raises(OptionError, match="score_gap"):
        audit(view, Toy(3), ["grad_eclip"], ["score_gab"])
    with pytest.raises(OptionError, match="unknown check"):
        audit(view, Toy(3), ["grad_eclip"], thresholds={"nonsense": 1.0})
    with pytest.raises(OptionError, match="limit=0"):
        audit(view, Toy(3), ["grad_eclip"], limit=0)
    with pytest.raises(OptionError, match="twice"):
        audit(view, Toy(3), ["grad_eclip", "grad_eclip"])


def test_the_global_random_state_is_left_alone(view: whyclip.ModelView) -> None:
    before = torch.random.get_rng_state()
    audit(view, Toy(2), ["grad_eclip"], limit=2, edited=1)
    assert torch.equal(before, torch.random.get_rng_state())


def test_edited_samples_are_drawn_from_all(
    view: whyclip.ModelView, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyclip.studies.audit import measure

    edited: list[str] = []
    monkeypatch.setattr(
        measure.Gathering, "_edit", lambda self, case: edited.append(case.sample.id)
    )
    for seed in range(4):
        audit(view, Toy(20), ["grad_eclip"], ["deletion"], limit=20, edited=3, seed=seed)
    assert len(edited) == 12
    assert len(set(edited)) > 6
    assert max(int(name.removeprefix("toy-")) for name in edited) >= 10
