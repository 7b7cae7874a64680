"""Evaluate methods on a dataset, as ``whyclip evaluate`` does."""

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

    The random baseline is always included. Top-k accuracy is zero-shot, over the dataset's classes.
    Results depend on the batch size only by rounding. A sample that cannot be read is listed with
    its error in ``Evaluation.failed``, and a warning is issued.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        dataset: result of :func:`whyclip.open_dataset`, with ``limit`` and ``seed`` for a subset;
            or its specification.
        methods: as for :func:`whyclip.compare`; default: all methods that are not slow. Labels are
            the keys of the results.
        metrics: names from ``whyclip.metrics.METRICS``; default: deletion, insertion, localisation
            metrics if there are masks, and word metrics.
        sides: ``"image"``, ``"text"`` or both.
        prompt: ``"gt"`` explains each true label of a sample with the sample's prompt; ``"pred"``
            explains the predicted class, with accuracy and localisation for the true label.
        protocol: protocol of ``deletion`` and ``insertion``, ``"grad-eclip"`` or ``"rise"``.
        fill: replacement of deleted pixels: ``"papers"`` for the protocol's fill; ``"background"``
            for the scene without its objects, in addition to ``"black"`` and ``"blurred"``.
        geometry: as for :func:`whyclip.explain`.
        precision: as for :func:`whyclip.explain`.
        seed: random seed of the noise of edits, the order of equal pixels, the random baseline and
            the intervals.
        batch_size: number of edited inputs per forward pass.
        out: folder for finished samples. If it contains samples of the same evaluation, only failed
            or changed samples are measured again.
        data: name of the dataset in results.
        command: command that repeats the evaluation, for the report.

    Raises:
        InputError: an option is not supported, or no sample can be measured.
        OutputError: the folder cannot be written, or contains another evaluation.
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
        # The total of all runs.
        seconds=sum(record.seconds for record in measured),
        **_more_facts(setup, candidates, before, measured),
    )
    result = Evaluation(setup, measured, facts, command, failed)
    if failed:
        warnings.warn(WhyclipWarning(result.failures), stacklevel=2)
    return result


def _measured(run: Run, store: Store | None, start: float) -> tuple[list[CaseRecord], int]:
    """Measure the samples that are not stored; return all records in order and the stored count."""
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
            # Write nothing until a sample succeeds, because there is nothing to resume from.
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
    """The finished samples of a store, after checking that it belongs to this dataset.

    Raises:
        OutputError: none of the samples is from this dataset.
    """
    kept = store.records()
    if (
        kept
        and kept.keys().isdisjoint(keys)
        and kept.keys().isdisjoint(keys_of(base_dataset(dataset)))
    ):
        raise OutputError(
            f"{str(store.folder)!r} holds another evaluation; its dataset: none of its samples is "
            "in the current dataset, or all were changed; give another --out"
        )
    return kept


def _renumber(record: CaseRecord, number: int, run: Run) -> None:
    """Update the numbers of the sample and its classes in a record of an earlier run."""
    record.number = number
    for prompt in record.measured:
        prompt.subject = renumbered(run.dataset, prompt.subject, run.setup.prompt)


def _more_facts(
    setup: Setup, candidates: Candidates, before: int, records: Sequence[CaseRecord]
) -> dict[str, str]:
    subjects = [prompt.subject for record in records for prompt in record.measured]
    right = sum(subject.correct for subject in subjects)
    facts = {
        "prompts": f"{len(subjects)} prompts "
        + ("of true labels" if setup.prompt == "gt" else "of predicted classes"),
        "classes": f"{len(candidates.targets)}; the model gets {right} of {len(subjects)} right",
    }
    strange = sum(record.strange for record in records)
    if strange:
        facts["images out of distribution"] = f"{strange} of {len(records)}"
    if before:
        facts["measured before"] = f"{before} samples, by an earlier run"
    return facts


def identity(model: ModelView, dataset: Dataset, setup: Setup, data: str) -> dict[str, Any]:
    """Everything that affects the results of all samples.

    :func:`whyclip.datasets.dataset.keys_of` covers everything that affects a single sample.

    Args:
        model: the evaluated model.
        dataset: the dataset from which samples were drawn.
        setup: methods, metrics and options.
        data: name of the dataset.

    Returns:
        Plain JSON types, with digests in place of long values.
    """
    return {**setup.to_json(), **model_identity(model), "dataset": dataset_identity(dataset, data)}
