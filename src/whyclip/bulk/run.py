"""Explain all images of a source and write the explanations as Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

from whyclip.bulk.engine import Answers, Job, Share, answers_here, run_job
from whyclip.bulk.folder import Folder
from whyclip.bulk.open_source import open_source
from whyclip.bulk.progress import Progress
from whyclip.bulk.request import FROM_DATASET, Explainer, Request
from whyclip.bulk.result import BulkResult, read_bulk
from whyclip.bulk.schema import MapType
from whyclip.bulk.source import Source
from whyclip.errors import OptionError, check_choice, quoted
from whyclip.files import path_of
from whyclip.matching.evidence import ReferenceLike
from whyclip.matching.evidence import opened as opened_reference
from whyclip.models import ModelView
from whyclip.types import SIDES, Check, Engine, GeometryName, Precision, Side
from whyclip.variant import MethodLike

PART_SIZE, BATCH_SIZE, MOST_WORKERS = 1024, 16, 8


def explain_bulk(  # noqa: PLR0913
    model: ModelView,
    source: str | Source,
    prompts: Any = None,
    *,
    out: str | Path,
    classes: Sequence[str] | None = None,
    top: int = 1,
    prompt_column: str | None = None,
    image_column: str = "image",
    against: Any = None,
    method: MethodLike | None = None,
    sides: Sequence[Side] = SIDES,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
    map_type: MapType = "float32",
    reference: ReferenceLike | None = None,
    limit: int | None = None,
    workers: int | None = None,
    batch_size: int = BATCH_SIZE,
    part_size: int = PART_SIZE,
    retry_errors: bool = False,
    outside: bool = False,
    engine: Engine = "local",
    address: str | None = None,
    report: Callable[[Progress], None] | None = None,
    **method_options: Any,
) -> BulkResult:
    """Explain every image of a source and write Parquet files, or resume an interrupted run.

    An image that cannot be read becomes a row with its error. After a crash, the same call resumes
    at the first missing part. Under ``torchrun`` or ``accelerate launch``, each process
    explains its share of the parts; with ``engine="ray"``, a Ray cluster explains them. The rows
    are the same for any engine and any number of processes and workers.

    Args:
        model: as for :func:`whyclip.explain`.
        source: a folder, a pattern, a ``.csv`` or ``.parquet`` file, tars
            (``data-{00..11}.tar``), ``hf:FOLDER[#SPLIT]``, a dataset (``scenes:200``), or an fsspec
            address of one of the first four.
        prompts: prompts common to all images, as for :func:`whyclip.explain`.
        out: folder of the results.
        classes: prompts of classes; the best-matching ones are explained for each image.
        top: number of classes to explain per image.
        prompt_column: column with each image's prompts, instead of common ones; in tars, an
            extension (``txt``) or a field of the JSON. If prompts, classes and column are all
            missing, the dataset's own prompts are explained.
        image_column: column of a table with paths, addresses or encoded images.
        against: prompts to contrast all prompts with.
        method: a name, ``Method`` or ``Variant``.
        sides: ``"image"``, ``"text"`` or both.
        geometry: input mode of the images; with ``"keep"``, maps differ in size.
        precision: precision of the forward pass.
        check: as for :func:`whyclip.explain`; ``"auto"`` checks images in each batch.
        map_type: ``"float32"``, or ``"float16"`` divided by the row's ``map_scale``.
        reference: result of :func:`whyclip.reference`, or its file; adds the columns of percentiles
            and evidence.
        limit: number of images from the start of the source.
        workers: decoding processes; 0 decodes in this one. Default: one less than the CPUs, at
            most 8.
        batch_size: images per batch.
        part_size: images per file; a crash loses at most one part.
        retry_errors: try images with an error again.
        outside: whether a table may name addresses, and files outside its folder.
        engine: ``"local"``, or ``"ray"`` to decode and explain on a Ray cluster.
        address: address of the cluster; ``"auto"`` for this machine's cluster. By default, one is
            started for this run.
        report: function called after each batch with the progress of this process.
        **method_options: options of the method.

    Returns:
        The results of all processes so far.

    Raises:
        InputError: an argument or the source cannot be used.
        OptionError: there are no prompts, or a number is out of range.
        OutputError: the folder holds another run, or a file cannot be written.
        ModelError: as for :func:`whyclip.explain`.
    """
    _check_numbers(batch_size=batch_size, part_size=part_size, limit=limit)
    check_choice("map_type", map_type, get_args(MapType))
    check_choice("engine", engine, get_args(Engine))
    share = Share.of_environment()
    if engine == "ray" and share.world > 1:
        raise OptionError("engine='ray' starts its own processes; run it without torchrun")
    if engine == "local" and address is not None:
        raise OptionError(f"address={quoted(address)} needs engine='ray'")
    names = tuple(classes or ())
    common = prompts is not None or bool(names)
    if common and prompt_column is not None:
        raise OptionError(f"prompt_column={quoted(prompt_column)} and common prompts; give one")
    if isinstance(source, str):
        source = open_source(
            source,
            image_column=image_column,
            prompt_column=prompt_column,
            own_prompts=not common,
            outside=outside,
        )
    from whyclip.bulk.dataset_source import DatasetSource

    if not common and prompt_column is None and not isinstance(source, DatasetSource):
        raise OptionError(
            f"no prompts for {quoted(source.name)}; give prompts, classes or a column"
        )
    request = Request(
        prompts,
        names,
        top,
        against,
        method,
        sides,
        geometry,
        precision,
        check,
        method_options,
        opened_reference(reference),
    )
    explainer = Explainer(model, request)
    job = Job(
        explainer,
        source,
        Folder(path_of(out)),
        part_size,
        batch_size,
        default_workers() if workers is None else workers,
        map_type,
        limit,
        retry_errors,
    )
    opened = {
        "image_column": image_column,
        "prompt_column": prompt_column,
        "own_prompts": not common,
        "outside": outside,
    }
    open_folder(job, opened)
    if engine == "ray":
        from whyclip.bulk.ray_engine import answers_on_ray

        answers: Answers = partial(answers_on_ray, address=address)
    else:
        answers = answers_here
    run_job(job, share, report or _silent, answers)
    return read_bulk(out)


def open_folder(job: Job, opened: Mapping[str, Any]) -> None:
    """Create the folder of a job, or check that it holds the same run.

    Args:
        job: the job.
        opened: options that the source was opened with, for reports.

    Raises:
        OutputError: the folder holds another run.
    """
    explainer, source = job.explainer, job.source
    identity = {
        **explainer.identity(),
        "source": source.name,
        "contents": source.contents(),
        "image_column": opened["image_column"],
        "prompt_column": opened["prompt_column"],
        "limit": job.limit,
        "part_size": job.part_size,
        "map_type": job.map_type,
    }
    variants = explainer.variants
    run = {
        "model": explainer.model.name,
        "method": " + ".join(variant.method.name for variant in variants),
        "methods": {v.sides[0]: v.method.name for v in variants} if len(variants) > 1 else {},
        "options": dict(variants[0].settings) if len(variants) == 1 else {},
        "prompts": [] if identity["prompts"] == FROM_DATASET else identity["prompts"],
        "against": identity["against"],
        "geometry": identity["geometry"],
        "source_options": dict(opened),
    }
    job.folder.open(identity, run)


def default_workers() -> int:
    """Default number of decoding processes for the CPUs of this machine."""
    return max(1, min(MOST_WORKERS, (os.cpu_count() or 1) - 1))


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, int) or number < 1):
            raise OptionError(f"{name}={quoted(number)}; give a whole number of at least 1")


def _silent(_: Progress) -> None:
    return
