"""An audit from beginning to end: gather the evidence, then let every check read it."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import numpy as np

from whyclip.ambient import in_plain_state
from whyclip.api import check_asked
from whyclip.audit.changes import TwoByTwo
from whyclip.audit.check import Check, Measured
from whyclip.audit.checks import CHECKS, get_check
from whyclip.audit.curves import measure_curves
from whyclip.audit.evidence import CONTROL, Ask, Evidence
from whyclip.audit.look import Auditor, Seen, look
from whyclip.audit.plans import Asked, plans_of
from whyclip.audit.pool import Pool, pool_of
from whyclip.audit.removal import (
    AT_ONCE,
    BLURRED,
    MASKED,
    Texts,
    blurred_scores,
    chosen_patches,
    masked_scores,
    words_removed,
)
from whyclip.audit.result import Audit, Audited, Finding
from whyclip.audit.shuffled import measure_shuffled
from whyclip.audit.spatial import read_with
from whyclip.audit.verdict import Verdict, judge, state, summarise
from whyclip.data.load import open_dataset
from whyclip.data.sample import Dataset, Drawn, Sample, base_of
from whyclip.errors import InputError, OptionError, WhyclipWarning, unknown
from whyclip.evaluation.encode import Encoder
from whyclip.model import ModelView
from whyclip.progress import track
from whyclip.report.facts import versions
from whyclip.types import Side

LIMIT = 60
EDITED = 24
PATCHES = 49


@in_plain_state
def audit(
    model: ModelView,
    dataset: Dataset | str,
    methods: Sequence[Asked] | None = None,
    checks: Sequence[str] | None = None,
    *,
    limit: int = LIMIT,
    edited: int = EDITED,
    patches: int = PATCHES,
    seed: int = 0,
    thresholds: Mapping[str, float] | None = None,
) -> Audit:
    """Ask which explanations of a model can be trusted, on a dataset.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`; it is not touched.
        dataset: from :func:`whyclip.data.open_dataset`, or what that takes.
        methods: names, ``Method`` objects of one's own, or either with options,
            ``("grad_eclip", {"heads": "single"})``; by default every one that can read the model
            without running it dozens of times. The random control is always there.
        checks: names of ``whyclip.audit.CHECKS``; all by default.
        limit: how many samples, drawn at random.
        edited: of how many of them the model is asked about edited pictures, too, which is
            nearly all of the cost.
        patches: how many patches of a picture are removed, each alone.
        seed: of all draws.
        thresholds: by check, in place of its own.

    Raises:
        OptionError: a method or check is not known, or a number is out of its range.
        InputError: the data does not give two different prompts.
    """
    began = time.perf_counter()
    thresholds = dict(thresholds or {})
    chosen = [get_check(name) for name in (checks or CHECKS)]
    for name in thresholds:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    for name, number in (("limit", limit), ("edited", edited), ("patches", patches)):
        if number < 1:
            raise OptionError(f"{name}={number}; give at least 1")
    check_asked(model, "model", "fp32")
    if isinstance(dataset, str):
        dataset = open_dataset(dataset)
    samples = list(Drawn(dataset, limit, seed))
    plans = plans_of(model, methods)
    pool = pool_of(model, dataset, samples)
    auditor = Auditor(model, plans, pool)
    asks = frozenset(ask for check in chosen for ask in check.asks)
    without = _without(model, pool, samples)
    evidence, two_by_two = _gather(
        auditor, samples, asks, without, min(edited, limit), patches, seed
    )
    findings = [
        _finding(check, evidence, name, side, thresholds.get(check.name, check.threshold), seed)
        for name, plan in plans.items()
        for check in chosen
        for side in check.sides
        # The control explains nothing, the model least of all.
        if side in plan.sides and (name != CONTROL or check.principle != "itself")
    ]
    notes = []
    if two_by_two.why_not():
        notes.append(f"no 2 x 2 of heads and geometry: {two_by_two.why_not()}")
    elif two_by_two.same_input:
        notes.append(
            "the pictures have the model's own size and proportions, so that geometry 'keep' is "
            "'model'; what it changes can be seen on other pictures"
        )
    return Audit(
        model=model.name,
        fingerprint=model.fingerprint,
        dataset=base_of(dataset).name,
        samples=len(samples),
        edited=min(edited, len(samples)) if asks - {"spatial"} else 0,
        seed=seed,
        methods={
            name: Audited(
                plan.method.name, plan.method.title, plan.options, plan.method.text_specific
            )
            for name, plan in plans.items()
        },
        findings=tuple(findings),
        cells=two_by_two.cells(seed),
        notes=tuple(notes),
        seconds=time.perf_counter() - began,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        software=versions(),
    )


def _without(model: ModelView, pool: Pool, samples: Sequence[Sample]) -> dict[str, str]:
    """What the data and the model do not have, by the need that they leave open."""
    found = {}
    if pool.numbers is None:
        found["labels"] = "needs labels"
    if not any(sample.masks for sample in samples):
        found["masks"] = "needs masks"
    if model.image.opaque:
        found["attention"] = f"needs attention, but {model.image.opaque}"
    if model.module is None:
        found["shuffled"] = "needs the module, to copy it"
    return found


def _gather(
    auditor: Auditor,
    samples: Sequence[Sample],
    asks: frozenset[Ask],
    without: Mapping[str, str],
    edited: int,
    patches: int,
    seed: int,
) -> tuple[Evidence, TwoByTwo]:
    two_by_two = TwoByTwo(auditor)
    texts = Texts(Encoder(auditor.model, batch_size=AT_ONCE))
    found, kept = [], []
    # Samples are in their dataset's order, which may be that of its classes.
    chosen = set(np.random.default_rng((seed, 6)).permutation(len(samples))[:edited].tolist())
    for index, sample in enumerate(track(samples, "auditing")):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", WhyclipWarning)
                seen = look(auditor, sample, index)
                if "spatial" in asks and "attention" not in without:
                    _read_with_own_weights(auditor, seen)
                if index in chosen:
                    _edit(seen, texts, asks, without, patches, seed)
                    kept.append(seen.light())
        except InputError as error:
            raise type(error)(f"sample {sample.id!r}: {error}") from error
        if not two_by_two.why_not():
            two_by_two.add(seen)
        # The graphs of the re-runs are large, and nobody asks for them again.
        seen.capture.forget()
        for capture in seen.question.captures:
            capture.forget()
        found.append(seen.evidence)
    stages: tuple[str, ...] = ()
    if "shuffled" in asks and "shuffled" not in without:
        stages = measure_shuffled(auditor, kept, seed)
    methods = {name: plan.method for name, plan in auditor.plans.items()}
    return Evidence(tuple(found), methods, stages, without), two_by_two


def _edit(
    seen: Seen,
    texts: Texts,
    asks: frozenset[Ask],
    without: Mapping[str, str],
    patches: int,
    seed: int,
) -> None:
    evidence = seen.evidence
    if "patches" in asks:
        count = int(seen.capture.content[0].sum())
        evidence.patches = chosen_patches(count, patches, seed)
        if "attention" not in without:
            evidence.removed[MASKED] = evidence.scores - masked_scores(seen, evidence.patches)
        evidence.removed[BLURRED] = evidence.scores - blurred_scores(seen, evidence.patches)
    if "words" in asks and texts.encoder.model.classes is None:
        evidence.words_removed = tuple(words_removed(seen, texts))
    if "curves" in asks:
        measure_curves(seen, texts, seed)


def _read_with_own_weights(auditor: Auditor, seen: Seen) -> None:
    for name, plan in auditor.plans.items():
        if "image" in plan.sides:
            embedding = read_with(seen.capture, plan)
            if embedding is not None:
                among = auditor.pool.targets.score(embedding)[0].cpu()
                seen.evidence.methods[name].spatial = among


def _finding(
    check: Check, evidence: Evidence, method: str, side: Side, threshold: float, seed: int
) -> Finding:
    lacking = [
        evidence.without[key] for key in (*check.needs, *check.asks) if key in evidence.without
    ]
    if lacking:
        measured = Measured(None, why_not=lacking[0])
    else:
        measured = check.measure(evidence, method, side)
    if measured.values is None:
        return Finding(
            method, check.name, side, "not measured", None, threshold, {}, measured.why_not
        )
    if check.fact:
        value = state(measured.values)
        verdict: Verdict = "pass" if value.mean == 1 else "fail"
        return Finding(method, check.name, side, verdict, value, threshold, {})
    value = summarise(measured.values, share=check.share, seed=seed)
    verdict = judge(value, threshold, higher_is_better=check.higher_is_better)
    figures = {name: summarise(one, seed=seed) for name, one in measured.figures.items()}
    if verdict == "not measured":
        why = "no sample has a value"
        return Finding(method, check.name, side, verdict, None, threshold, figures, why)
    return Finding(method, check.name, side, verdict, value, threshold, figures)
