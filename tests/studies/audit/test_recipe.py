"""The recipe for a check, and the list of checks, as the document shows them."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

import whyclip
from audit_toy import Toy, planted
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import Relevance
from whyclip.studies.audit import CHECKS
from whyclip.studies.audit.cases import AuditSetup, explained_case
from whyclip.studies.audit.evidence import Evidence
from whyclip.studies.audit.variants import variants_by_label
from whyclip.studies.candidates import prompt_candidates

ROOT = Path(__file__).parents[3]
IMPORTS = """from __future__ import annotations
import math
from whyclip.studies.audit.check import Check, Measured, Values
from whyclip.studies.audit.evidence import Evidence
from whyclip.types import Side
"""


def alternating(forward_pass: ForwardPass) -> Relevance:
    """3 and −1 by turns: a quarter of all relevance is negative."""
    signs = torch.where(torch.arange(forward_pass.content_mask.shape[1]) % 2 == 0, 3.0, -1.0)
    values = signs.expand(len(forward_pass.inputs), len(forward_pass.targets), -1)
    return Relevance(values, forward_pass.embedding)


def test_the_recipe_for_a_check_works_as_written(tmp_path: Path, view: whyclip.ModelView) -> None:
    text = (ROOT / "docs" / "audit-checks.md").read_text(encoding="utf-8")
    [code] = [c for c in re.findall(r"(?s)```python\n(.*?)```", text) if "def measure" in c]
    file = tmp_path / "negative_share.py"
    file.write_text(IMPORTS + code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("negative_share", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = Toy(3)
    variants = variants_by_label(view, [planted("alternating", alternating)])
    setup = AuditSetup(view, variants, prompt_candidates(view, data, list(data)))
    samples = tuple(explained_case(setup, sample, i).evidence for i, sample in enumerate(data))
    evidence = Evidence(samples, {name: variant.method for name, variant in variants.items()})
    values = module.measure(evidence, "alternating", "image").values
    # Two prompts of its own and a distractor each; 16 patches, 8 of either sign.
    assert values.values == pytest.approx([8 * 1 / (8 * 1 + 8 * 3)] * 9)
    assert list(values.groups) == [f"toy-{i}" for i in range(3) for _ in range(3)]


def test_the_list_of_checks_is_that_of_the_declarations() -> None:
    place = ROOT / "docs" / "_ext" / "checks_list.py"
    spec = importlib.util.spec_from_file_location("checks_list", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.as_markdown()
    for name, check in CHECKS.items():
        [item] = re.findall(rf"(?s)- \*\*[^*]+\*\* \(`{name}`.*?(?=\n- |\n###|$)", text)
        assert check.formula in item
        assert f"{check.threshold:g}" in item
        assert check.reason in item
    assert "### Model fidelity" in text
    assert "### Performance consistency" in text
