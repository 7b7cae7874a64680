"""Evaluate methods on a dataset: the one call behind ``whyclip evaluate``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from whyclip.ambient import in_plain_state
from whyclip.datasets import Dataset, open_dataset
from whyclip.datasets.dataset import base_dataset, keys_of, numbers_of
from whyclip.errors import InputError, OptionError, OutputError, WhyclipWarning
from whyclip.models import ModelView
from whyclip.progress import track
from whyclip.report import run_facts
from whyclip.selection import MethodsLike
from whyclip.studies.candidates import Candidates, class_candidates
from whyclip.studies.evaluation.case_record import CaseRecord
from whyclip.studies.evaluation.prompts import renumbered
from whyclip.studies.evaluation.result import Evaluation
from whyclip.studies.evaluation.run import Run
from whyclip.studies.evaluation.setup import FillName, PromptName, ProtocolName, Setup, make_setup
from whyclip.studies.evaluation.store import CLASSES, Store
from whyclip.studies.identity import dataset_identity, model_identity
from whyclip.types import SIDES, GeometryName, Precision, Side

BATCH_SIZE = 64


@in_plain_state
def evaluate(  # noqa: PLR0913 (one call asks everything; all but two have defaults)
    model: ModelView,
    dataset: Dataset | str,
    methods: MethodsLike | None = None,
    metrics: Sequence[str] | None = None,
    *,
    sides: Sequence[Side] = SIDES,
    prompt: PromptName = "gt",
    protocol: ProtocolName = "grad-eclip",
    fill: FillName = "papers",
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
    classes. Results do not depend on the batch size, beyond rounding. A sample that cannot be read
    is listed with its error in ``Evaluation.failed``, and a warning says so.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        dataset: from :func:`whyclip.open_dataset`, with ``limit`` and ``seed`` for a part of it;
            or its name.
        methods: as for :func:`whyclip.compare`; by default all that are not slow, as ``METHODS``
            has it. Results are under the labels.
        metrics: names from ``whyclip.metrics.METRICS``; by default deletion, insertion, those of
            location where there are masks, and those of words.
        sides: ``"image"``, ``"text"`` or both.
        prompt: ``"gt"`` explains each true label of a sample, by the sample's own prompt;
            ``"pred"`` the predicted class, while accuracy and location stay those of the truth.
        protocol: by which ``deletion`` and ``insertion`` go, ``"grad-eclip"`` or ``"rise"``.
        fill: what deleted pixels show: ``"papers"`` as the protocol says; ``"background"`` the
            scene without its objects, with ``"black"`` and ``"blurred"`` measured beside it.
        geometry: as for :func:`whyclip.explain`.
        precision: likewise.
        seed: of the noise of edits, the order of equal pixels, the random control and intervals.
        batch_size: how many edited inputs the model sees at once.
        out: a folder to which finished samples are written; if it has some of the same
            evaluation, only samples that failed or changed since are measured again.
        data: what to call the dataset in results.
        command: what to type to get the same again, for the report.

    Raises:
        InputError: something asked for cannot be had, or no sample can be measured.
        OutputError: the folder cannot be written, or holds another evaluation.
    """
    if batch_size < 1:
        raise OptionError(f"batch_size={batch_size}; give at least 1")
    if isinstance(dataset, str):
        data = data or dataset
        dataset = open_dataset(dataset)
    if not len(dataset):
        raise OptionError(f"dataset {data or dataset.name!r} has no samples")
    start = time.perf_counter()
    setup = make_setup(
        model,
        dataset,
        methods,
        metrics,
        sides=sides,
        prompt=prompt,
        protocol=protocol,
        fill=fill,
        geometry=geometry,
        precision=precision,
        seed=seed,
    )
    store = None if out is None else Store(Path(out), identity(model, dataset, setup, data))
    with store or nullcontext():
        keep = None if store is None else store.folder / CLASSES
        candidates = class_candidates(model, dataset, precision, keep)
        run = Run(model, dataset, setup, candidates, batch_size)
        every, before = _measured(run, store, start)
        measured = tuple(record for record in every if not record.error)
        failed = tuple(record for record in every if record.error)
        if not measured:
            first = f"sample {failed[0].sample!r}: {failed[0].error}"
            raise InputError(f"none of the {len(failed)} samples can be measured; {first}")
    facts = run_facts(
        model=model.name,
        dataset=data or base_dataset(dataset).name,
        samples=len(measured),
        seed=seed,
        # Of all runs that it took.
        seconds=sum(record.seconds for record in measured),
        **_more_facts(setup, candidates, before, measured),
    )
    result = Evaluation(setup, measured, facts, command, failed)
    if failed:
        warnings.warn(WhyclipWarning(result.failures), stacklevel=2)
    return result


def _measured(run: Run, store: Store | None, start: float) -> tuple[list[CaseRecord], int]:
    """Measure what is not in the store; give all records in order, and how many were there."""
    numbers, keys = numbers_of(run.dataset), keys_of(run.dataset)
    kept = _kept(store, run.dataset, keys) if store else {}
    records = {key: kept[key] for key in keys if key in kept}
    for number, key in zip(numbers, keys, strict=True):
        if key in records:
            _renumber(records[key], number, run)
    missing = [index for index, key in enumerate(keys) if key not in records]
    before, begun = len(keys) - len(missing), bool(kept)
    waiting: list[CaseRecord] = []
    key_of = dict(zip(numbers, keys, strict=True))
    work = run.records(missing, [numbers[index] for index in missing])
    for record in track(work, lambda: _title(records), len(missing)):
        now = time.perf_counter()
        record.seconds, start = round(now - start, 3), now
        record.key = key_of[record.number]
        records[record.key] = record
        if store:
            waiting.append(record)
            # Nothing is written until there is something to go on from.
            begun = begun or not record.error
            for finished in waiting if begun else ():
                store.add(finished)
            if begun:
                waiting.clear()
    return [records[key] for key in keys], before


def _title(records: Mapping[str, CaseRecord]) -> str:
    failed = sum(bool(record.error) for record in records.values())
    return f"evaluating ({failed} failed)" if failed else "evaluating"


def _kept(store: Store, dataset: Dataset, keys: Sequence[str]) -> dict[str, CaseRecord]:
    """The finished samples of a store, none of which another dataset wrote.

    Raises:
        OutputError: none of them is of this dataset.
    """
    kept = store.records()
    if (
        kept
        and kept.keys().isdisjoint(keys)
        and kept.keys().isdisjoint(keys_of(base_dataset(dataset)))
    ):
        raise OutputError(
            f"{str(store.folder)!r} holds another evaluation; its dataset: none of its samples is "
            "among those of now, or all were changed; give another --out"
        )
    return kept


def _renumber(record: CaseRecord, number: int, run: Run) -> None:
    """Say of a record of an earlier run where its sample and its classes are now."""
    record.number = number
    for prompt in record.measured:
        prompt.subject = renumbered(run.dataset, prompt.subject, run.setup.prompt)


def _more_facts(
    setup: Setup, candidates: Candidates, before: int, records: Sequence[CaseRecord]
) -> dict[str, str]:
    subjects = [prompt.subject for record in records for prompt in record.measured]
    right = sum(subject.correct for subject in subjects)
    facts = {
        "asked": f"{len(subjects)} prompts "
        + ("of true labels" if setup.prompt == "gt" else "of predicted classes"),
        "classes": f"{len(candidates.targets)}; the model gets {right} of {len(subjects)} right",
    }
    strange = sum(record.strange for record in records)
    if strange:
        facts["pictures unlike the model's own"] = f"{strange} of {len(records)}"
    if before:
        facts["measured before"] = f"{before} samples, by an earlier run"
    return facts


def identity(model: ModelView, dataset: Dataset, setup: Setup, data: str) -> dict[str, Any]:
    """Everything that affects the results of all samples.

    :func:`whyclip.datasets.dataset.keys_of` has what affects a single sample.

    Args:
        model: the evaluated model.
        dataset: the dataset from which samples were drawn.
        setup: what is measured.
        data: name of the dataset.

    Returns:
        JSON types; digests stand for what is long.
    """
    return {**setup.to_json(), **model_identity(model), "dataset": dataset_identity(dataset, data)}
