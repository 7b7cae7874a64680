"""Run an audit: gather the evidence, then evaluate every check on it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from whyclip.ambient import in_plain_state
from whyclip.datasets.annotation_files import digest
from whyclip.datasets.dataset import (
    Dataset,
    Sample,
    Subset,
    base_dataset,
    keys_of,
    numbers_of,
    sample_or_error,
)
from whyclip.datasets.load import open_dataset
from whyclip.errors import InputError, OptionError, check_choice
from whyclip.models import ModelView
from whyclip.models.state import check_asked
from whyclip.report.facts import versions
from whyclip.selection import MethodsLike
from whyclip.stats.intervals import Interval
from whyclip.stats.verdict import judge, judge_fact
from whyclip.studies.audit.absent import AbsentNouns
from whyclip.studies.audit.cases import AuditSetup
from whyclip.studies.audit.cells import cells_of
from whyclip.studies.audit.check import Check, Measured, check_threshold
from whyclip.studies.audit.checks import CHECKS, get_check
from whyclip.studies.audit.evidence import Ask, Evidence
from whyclip.studies.audit.interventions import without_interventions
from whyclip.studies.audit.measure import DrawnSample, Work, gather
from whyclip.studies.audit.record import Audited
from whyclip.studies.audit.result import Audit
from whyclip.studies.audit.store import Store
from whyclip.studies.audit.variants import variants_by_label
from whyclip.studies.candidates import Candidates, prompt_candidates
from whyclip.studies.claims import Finding
from whyclip.studies.control import CONTROL, described
from whyclip.studies.heads_and_geometry import obstacle
from whyclip.studies.identity import dataset_identity, model_identity
from whyclip.studies.measurements import Values
from whyclip.studies.pairs import Pairs
from whyclip.types import Side
from whyclip.variant import Variant

# Measured on all samples, not only on the edited ones.
ON_ALL: frozenset[Ask] = frozenset(
    {"spatial", "removed", "recoloured", "exchanges", "inpainted", "absent"}
)
LIMIT = 80
EDITED = 24
PATCHES = 49


@in_plain_state
def audit(
    model: ModelView,
    dataset: Dataset | str,
    methods: MethodsLike | None = None,
    checks: Sequence[str] | None = None,
    *,
    limit: int = LIMIT,
    edited: int = EDITED,
    patches: int = PATCHES,
    seed: int = 0,
    thresholds: Mapping[str, float] | None = None,
    out: str | Path | None = None,
) -> Audit:
    """Check the explanations of a model on a dataset.

    A sample that cannot be read is listed with its error in ``Audit.failed`` and in a note.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`; it is not modified.
        dataset: result of :func:`whyclip.datasets.open_dataset`, or its specification.
        methods: as for :func:`whyclip.compare`; default: every fast method that supports the model.
            The random baseline is always included.
        checks: names from ``whyclip.studies.audit.CHECKS``; default: all with ``by_default``. If
            the data can be drawn with one change, checks with a ``replaced_by`` are measured only
            if named.
        limit: number of samples, drawn at random.
        edited: number of samples that are also edited, which takes most of the time.
        patches: number of patches of an image that are removed, one at a time.
        seed: random seed of all draws.
        thresholds: thresholds by check, in place of the defaults.
        out: folder for the measurements of each sample; the same audit resumes from there after an
            interruption.

    Raises:
        OptionError: a method or check is unknown, or a number is out of range, for example a
            threshold that no value can pass.
        InputError: the data has fewer than two different prompts, or no sample can be read.
        OutputError: the folder cannot be written, or contains another report.
    """
    began = time.perf_counter()
    thresholds = dict(thresholds or {})
    named = bool(checks)
    chosen = [get_check(name) for name in (checks or CHECKS)]
    chosen = [check for check in chosen if named or check.by_default]
    for name in thresholds:
        check_choice("check", name, CHECKS)
    for name, number in (("limit", limit), ("edited", edited), ("patches", patches)):
        if number < 1:
            raise OptionError(f"{name}={number}; give at least 1")
    for name, threshold in thresholds.items():
        check_threshold(CHECKS[name], threshold)
    check_asked(model, "model", "fp32")
    if isinstance(dataset, str):
        dataset = open_dataset(dataset)
    drawn = drawn_samples(Subset(dataset, limit, seed))
    samples = [each.sample for each in drawn if isinstance(each.sample, Sample)]
    if not samples:
        raise InputError(f"no sample of {dataset.name} can be read; first: {drawn[0].sample}")
    notes = []
    if not named and dataset.has_interventions():
        replaced = [check for check in chosen if check.replaced_by]
        chosen = [check for check in chosen if not check.replaced_by]
        notes.append(_replaced_words(replaced))
    variants = variants_by_label(model, methods, seed)
    candidates = prompt_candidates(model, dataset, samples)
    asks = frozenset(ask for check in chosen for ask in check.asks)
    work = Work(asks, what_lacks(model, candidates, samples), min(edited, limit), patches, seed)
    store = None
    if out is not None:
        store = Store(Path(out), _identity(model, dataset, variants, candidates, work))
        store.refuse_others()
    setup = AuditSetup(model, variants, candidates, AbsentNouns(dataset, seed))
    gathered = gather(setup, drawn, work, store)
    evidence, failed = gathered.evidence, gathered.failed
    findings = [
        _finding(check, evidence, name, side, thresholds.get(check.name, check.threshold), seed)
        for name, variant in variants.items()
        for check in chosen
        for side in check.sides
        # The baseline does not explain any computation.
        if side in variant.sides and (name != CONTROL or check.principle != "fidelity")
    ]
    if failed:
        name, error = failed[0]
        notes.append(f"{len(failed)} of {len(drawn)} samples failed; first: {name!r:.80}: {error}")
    if obstacle(model):
        notes.append(f"no 2 x 2 table of heads and geometry: {obstacle(model)}")
    elif gathered.same_input:
        notes.append(
            "all images have the model's input size, so geometry 'keep' equals 'model'; its effect "
            "is visible only on images of other sizes"
        )
    return Audit(
        model=model.name,
        fingerprint=model.fingerprint,
        dataset=base_dataset(dataset).name,
        samples=len(evidence.samples),
        edited=min(edited, len(evidence.samples)) if asks - ON_ALL else 0,
        seed=seed,
        methods={
            name: Audited(
                variant.method.name,
                variant.method.title,
                dict(variant.settings),
                variant.method.text_specific,
            )
            for name, variant in variants.items()
        },
        findings=tuple(findings),
        cells=cells_of(gathered.rows, seed),
        notes=tuple(notes),
        seconds=time.perf_counter() - began,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        software=versions(),
        failed=failed,
    )


def _replaced_words(replaced: Sequence[Check]) -> str:
    """Name the checks that are replaced by better ones."""
    names = ", ".join(f"{check.name} (by {check.replaced_by})" for check in replaced)
    return (
        f"this data can be drawn with one change, so these checks are replaced: {names}; name a "
        "check to measure it too"
    )


def drawn_samples(subset: Subset) -> list[DrawnSample]:
    """The drawn samples with their keys, or an error for a sample that cannot be read."""
    keys, numbers = keys_of(subset), numbers_of(subset)
    drawn = []
    for index, (key, number) in enumerate(zip(keys, numbers, strict=True)):
        sample = sample_or_error(subset, index)
        name = sample.id if isinstance(sample, Sample) else f"number {number}"
        drawn.append(DrawnSample(key, sample, name))
    return drawn


def what_lacks(
    model: ModelView, candidates: Candidates, samples: Sequence[Sample]
) -> dict[str, str]:
    """Missing requirements of the data and the model, with reasons, by need."""
    missing = {}
    if candidates.numbers is None:
        missing["labels"] = "needs labels"
    if not any(sample.masks for sample in samples):
        missing["masks"] = "needs masks"
    fixed = without_interventions([sample.interventions for sample in samples])
    if fixed:
        missing["interventions"] = fixed
    if model.image.opaque:
        missing["attention"] = f"needs attention, but {model.image.opaque}"
    if model.module is None:
        missing["shuffled"] = "needs the module to copy it"
    return missing


def _identity(
    model: ModelView,
    dataset: Dataset,
    variants: Mapping[str, Variant],
    candidates: Candidates,
    work: Work,
) -> dict[str, Any]:
    """Everything that affects the measurements of all samples."""
    return {
        **model_identity(model),
        "dataset": dataset_identity(dataset),
        "candidates": digest([candidates.prompts, sorted((candidates.numbers or {}).items())]),
        "methods": {name: described(variant) for name, variant in variants.items()},
        "asks": sorted(work.asks),
        # The identity of the dataset includes whether it has interventions.
        "without": sorted(work.without.keys() - {"interventions"}),
        "patches": work.patches,
        "seed": work.seed,
    }


def _finding(
    check: Check, evidence: Evidence, method: str, side: Side, threshold: float, seed: int
) -> Finding:
    claim = check.claim(threshold)
    lacking = [
        evidence.without[key] for key in (*check.needs, *check.asks) if key in evidence.without
    ]
    if lacking:
        measured = Measured(None, why_not=lacking[0])
    else:
        measured = check.measure(evidence, method, side)
    if measured.values is None:
        why = measured.why_not
        return Finding(claim, "not applicable", None, method, side, why_not=why)
    if check.fact:
        verdict = judge_fact(measured.values.values)
        return Finding(claim, verdict, _share(measured.values), method, side)
    limits = None if any(map(math.isinf, check.bounds)) else check.bounds
    value = measured.values.interval(
        share=check.share, limits=limits, exact=check.exact or measured.exact, seed=seed
    )
    verdict = judge(value, threshold, higher_is_better=check.higher_is_better)
    figures = {name: figure.interval(seed=seed) for name, figure in measured.figures.items()}
    if verdict == "not applicable":
        why = "no sample has a value"
        return Finding(claim, verdict, None, method, side, figures, why)
    return Finding(claim, verdict, value, method, side, figures)


def _share(values: Values | Pairs) -> Interval:
    """Proportion of samples for which a fact is true, without an interval."""
    nan, images = float("nan"), len(set(values.groups))
    return Interval(float(np.mean(values.values)), nan, nan, len(values), images)
