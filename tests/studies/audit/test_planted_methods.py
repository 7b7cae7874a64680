"""Bad methods on the embedded model: each is caught by the check that is named for it."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

import planted
import whyclip
from whyclip.datasets.scenes import SceneSamples
from whyclip.scenes import COLOURS, concepts
from whyclip.scenes.captions import _FRAMES, _JOINTS, RELATIONS
from whyclip.studies.audit import Audit, Finding, audit
from whyclip.studies.audit.shuffled import copy_of, shuffle

SEED = 900
# A third of the texts have a map of zeros, which cannot change.
SCENES, FEW = 24, 24
WORD_CHECKS = ["exchanged_words", "absent_nouns"]


@lru_cache(maxsize=1)
def mini() -> whyclip.ModelView:
    return whyclip.load("mini", device="cpu")


@lru_cache(maxsize=1)
def data() -> SceneSamples:
    return SceneSamples(SCENES, SEED, objects=(2, 3))


def other_weights() -> planted.Method:
    """The same model after it forgot everything: no other weights are in the package."""
    other, module = copy_of(mini())
    shuffle(list(module.parameters()), torch.Generator().manual_seed(0))
    names = [data().prompt_of(label) for label in data().classes]
    prompts = [*dict.fromkeys([p for sample in data() for p in sample.prompts] + names)]
    return planted.of_other_weights(mini(), other, prompts)


@lru_cache(maxsize=1)
def of_maps() -> Audit:
    methods = [*planted.image_methods().values(), other_weights(), planted.TRUE]
    oracles = [planted.mask_oracle(mini(), data(), only_right=only) for only in (False, True)]
    checks = ["removed_objects", "exchanged_prompts", "interaction", "empty_places"]
    checks += ["inpainted_objects", "absent_classes"]
    return audit(mini(), data(), [*methods, *oracles], checks, limit=SCENES)


@lru_cache(maxsize=1)
def of_words() -> Audit:
    texts = [*concepts(), *COLOURS, *_FRAMES, *_JOINTS, *RELATIONS, "an"]
    words = sorted({word for text in texts for word in text.replace("{}", "").split()})
    methods = [
        planted.word_method(name, rule, mini().tokenizer, words)
        for name, rule in planted.WORD_RULES.items()
    ]
    return audit(mini(), data(), [*methods, planted.TRUE], WORD_CHECKS, limit=SCENES)


@lru_cache(maxsize=1)
def of_heads() -> Audit:
    scenes = SceneSamples(FEW, SEED, objects=1)
    methods = [planted.OWN_EMBEDDING, "grad_eclip", "contribution"]
    checks = ["exchanged_heads", "score_gap", "computation"]
    return audit(mini(), scenes, methods, checks, limit=FEW, edited=FEW)


def finding_of(run: Audit, method: str, check: str, side: str = "image") -> Finding:
    finding = run.finding(method, check, side)  # type: ignore[arg-type]
    assert finding is not None
    return finding


@pytest.mark.parametrize(
    ("method", "check"),
    [
        ("other_prompt", "removed_objects"),
        ("flipped", "removed_objects"),
        ("negative", "removed_objects"),
        ("other_weights", "removed_objects"),
        ("random", "removed_objects"),
        ("edges", "removed_objects"),
        ("edges", "interaction"),
        ("edges", "exchanged_prompts"),
        ("blurred", "empty_places"),
        # The approximation for photographs catches what the exact check catches.
        ("other_prompt", "inpainted_objects"),
        ("flipped", "inpainted_objects"),
        ("negative", "inpainted_objects"),
        ("other_weights", "inpainted_objects"),
        ("random", "inpainted_objects"),
        ("edges", "inpainted_objects"),
        ("edges", "absent_classes"),
        ("negative", "absent_classes"),
        ("random", "absent_classes"),
    ],
)
def test_a_bad_map_is_caught_by_name(method: str, check: str) -> None:
    finding = finding_of(of_maps(), method, check)
    assert finding.verdict == "fail", finding


@pytest.mark.parametrize(
    "check",
    [
        *("removed_objects", "exchanged_prompts", "interaction", "empty_places"),
        *("inpainted_objects", "absent_classes"),
    ],
)
def test_the_map_that_they_are_made_from_is_caught_by_none(check: str) -> None:
    finding = finding_of(of_maps(), planted.TRUE, check)
    assert finding.value is not None
    assert finding.value.mean > finding.threshold
    assert finding.verdict != "fail"


@pytest.mark.parametrize("check", WORD_CHECKS)
@pytest.mark.parametrize("method", planted.WORD_RULES)
def test_a_rule_about_words_is_caught_by_exchanged_words(method: str, check: str) -> None:
    finding = finding_of(of_words(), method, check, "text")
    assert finding.verdict == "fail", finding


@pytest.mark.parametrize("check", WORD_CHECKS)
def test_words_that_follow_the_model_are_not_caught(check: str) -> None:
    finding = finding_of(of_words(), planted.TRUE, check, "text")
    assert finding.value is not None
    assert finding.value.mean > finding.threshold


def test_a_map_of_another_computation_that_declares_the_models_embedding_is_caught() -> None:
    for side in ("image", "text"):
        # By its own word it is the model, so that only its map can give it away.
        for check in ("score_gap", "computation"):
            assert finding_of(of_heads(), "own_embedding", check, side).verdict == "pass"
        assert finding_of(of_heads(), "own_embedding", "exchanged_heads", side).verdict == "fail"
        for method in ("grad_eclip", "contribution"):
            assert finding_of(of_heads(), method, "exchanged_heads", side).verdict == "pass"


@pytest.mark.parametrize("method", ["mask", "mask_if_right"])
def test_plain_scenes_cannot_catch_the_mask_of_the_object(method: str) -> None:
    """In these scenes the object is all that the score depends on; planted shortcuts tell."""
    finding = finding_of(of_maps(), method, "removed_objects")
    assert finding.value is not None
    assert finding.value.mean > 0.8
