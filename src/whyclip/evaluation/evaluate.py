"""Evaluate methods on a dataset: the one call behind ``whyclip evaluate``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from whyclip.ambient import in_plain_state
from whyclip.data import Dataset
from whyclip.data.sample import Drawn, base_of
from whyclip.errors import OptionError
from whyclip.evaluation.classes import Classifier, zero_shot
from whyclip.evaluation.identity import identity
from whyclip.evaluation.plan import Plan, PromptName, ProtocolName, Variant, make_plan
from whyclip.evaluation.record import Record
from whyclip.evaluation.result import Evaluation
from whyclip.evaluation.run import Run
from whyclip.evaluation.store import CLASSES, Store
from whyclip.methods import Method
from whyclip.model import ModelView
from whyclip.progress import track
from whyclip.report import run_facts
from whyclip.types import SIDES, GeometryName, Precision, Side

BATCH_SIZE = 64


@in_plain_state
def evaluate(  # noqa: PLR0913 (one call asks everything; all but two have defaults)
    model: ModelView,
    dataset: Dataset,
    methods: Sequence[str | Method | Variant] | Mapping[str, Mapping[str, Any]] | None = None,
    metrics: Sequence[str] | None = None,
    *,
    sides: Sequence[Side] = SIDES,
    prompt: PromptName = "gt",
    protocol: ProtocolName = "grad-eclip",
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    seed: int = 0,
    batch_size: int = BATCH_SIZE,
    out: str | Path | None = None,
    data: str = "",
    command: str = "",
) -> Evaluation:
    """Measure every metric for every method on every sample of a dataset.

    The random control is always among the methods. Top-k accuracy is zero-shot, over the dataset's
    classes. Results do not depend on the batch size, beyond rounding.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        dataset: from :func:`whyclip.data.open_dataset`, with ``limit`` and ``seed`` where not all
            of it is to be looked at.
        methods: names, names with their options, or :class:`Variant` for several variants of
            one method; by default all that are not slow, as ``METHODS`` has it.
        metrics: names from ``whyclip.metrics.METRICS``; by default deletion, insertion, those of
            location where there are masks, and those of words.
        sides: ``"image"``, ``"text"`` or both.
        prompt: ``"gt"`` explains each true label of a sample, by the sample's own prompt;
            ``"pred"`` the predicted class, while accuracy and location stay those of the truth.
        protocol: by which ``deletion`` and ``insertion`` go, ``"grad-eclip"`` or ``"rise"``.
        geometry: as for :func:`whyclip.explain`.
        precision: likewise.
        seed: of the noise of edits, the order of equal pixels, the random control and intervals.
        batch_size: how many edited inputs the model sees at once.
        out: a folder to which finished samples are written; where it has some of the same
            evaluation, they are not measured again.
        data: what to call the dataset in results.
        command: what to type to get the same again, for the report.

    Raises:
        InputError: something asked for cannot be had; the message says what would work.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size={batch_size}; give at least 1")
    if not len(dataset):
        raise OptionError(f"dataset {data or dataset.name!r} has no samples")
    start = time.perf_counter()
    plan = make_plan(
        model,
        dataset,
        methods,
        metrics,
        sides=sides,
        prompt=prompt,
        protocol=protocol,
        geometry=geometry,
        precision=precision,
        seed=seed,
    )
    store = None if out is None else Store(Path(out), identity(model, dataset, plan, data))
    keep = None if store is None else store.folder / CLASSES
    classifier = zero_shot(model, dataset, precision, keep)
    run = Run(model, dataset, plan, classifier, batch_size)
    numbers = _numbers(dataset)
    records = store.records() if store else {}
    missing = [index for index, number in enumerate(numbers) if number not in records]
    before = len(numbers) - len(missing)
    with store or nullcontext():
        for record in _watched(run, missing, numbers):
            now = time.perf_counter()
            record.seconds, start = round(now - start, 3), now
            records[record.number] = record
            if store:
                store.add(record)
    found = [records[number] for number in numbers]
    facts = run_facts(
        model=model.name,
        dataset=data or base_of(dataset).name,
        samples=len(numbers),
        seed=seed,
        # Of all runs that it took.
        seconds=sum(record.seconds for record in found),
        **_more_facts(plan, classifier, before, found),
    )
    return Evaluation(plan, tuple(found), facts, command)


def _watched(run: Run, missing: Sequence[int], numbers: Sequence[int]) -> Iterator[Record]:
    found = run.records(missing, [numbers[index] for index in missing])
    return track(found, "evaluating", len(missing))


def _numbers(dataset: Dataset) -> list[int]:
    """For each sample its number in the whole dataset, so that more can be drawn later."""
    if not isinstance(dataset, Drawn):
        return list(range(len(dataset)))
    below = _numbers(dataset.dataset)
    return [below[number] for number in dataset.numbers]


def _more_facts(
    plan: Plan, classifier: Classifier, before: int, records: Sequence[Record]
) -> dict[str, str]:
    subjects = [one.subject for record in records for one in record.measured]
    right = sum(subject.correct for subject in subjects)
    facts = {
        "asked": f"{len(subjects)} prompts "
        + ("of true labels" if plan.prompt == "gt" else "of predicted classes"),
        "classes": f"{len(classifier.targets)}; the model gets {right} of {len(subjects)} right",
    }
    strange = sum(record.strange for record in records)
    if strange:
        facts["pictures unlike the model's own"] = f"{strange} of {len(records)}"
    if before:
        facts["measured before"] = f"{before} samples, by an earlier run"
    return facts
