"""An audit goes through for every kind of tower, and says what a kind does not have."""

from __future__ import annotations

from typing import Any

import pytest

import whyclip
from audit_toy import Toy
from families import SMALL
from families_hf import classifier
from whyclip.studies.audit import CHECKS, Audit, audit

# One of each kind of readout: class token, pooling head, none; rotary; a text tower like BERT.
KINDS = ("vit-qk-norm", "siglip", "resnet", "timm-eva", "vit-average", "blip")


def unmeasured(result: Audit, method: str) -> dict[str, str]:
    return {f"{f.check} {f.side}": f.why_not for f in result.of(method) if f.value is None}


@pytest.mark.parametrize("family", [name for name in KINDS if name in SMALL])
def test_every_kind_of_tower_can_be_audited(family: str) -> None:
    view = whyclip.wrap(*SMALL[family](), name=family)
    methods = ["leave_one_out"] if view.image.opaque else ["contribution"]
    result = audit(view, Toy(3), methods, limit=3, edited=1)
    missing = unmeasured(result, methods[0])
    assert {key.partition(" ")[0] for key in missing} <= {
        "completeness",
        "spatial_weights",
        "localisation_true",
        "localisation_predicted",
        # A toy has no interventions; some towers have a single head.
        *(name for name, check in CHECKS.items() if "interventions" in check.needs),
        "exchanged_heads",
    }
    for finding in result.of(methods[0], "fidelity"):
        if finding.check == "score_gap":
            assert finding.value is not None
            assert finding.value.mean < 1e-5
    reason = unmeasured(result, "random").get("patch_masked image", "")
    assert ("needs attention" in reason) == bool(view.image.opaque)
    assert bool(result.cells) == (not view.image.opaque and not view.image.fixed_grid_reason)


def test_a_classifier_is_asked_its_classes() -> None:
    names = ("tabby cat", "sports car", "daisy", "tiger")
    view = whyclip.wrap(*classifier(names), None, "vit")
    data: Any = Toy(3, names=names)
    result = audit(view, data, ["contribution"], limit=3, edited=1)
    assert result.sides("contribution") == ("image",)
    gap = result.finding("contribution", "score_gap")
    accuracy = result.finding("contribution", "accuracy")
    assert gap is not None
    assert gap.value is not None
    assert gap.value.mean < 1e-4
    assert accuracy is not None
    assert accuracy.value is not None
