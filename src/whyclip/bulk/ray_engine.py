"""Ray engine: Ray Data decodes tasks on the CPUs of a cluster, and actors explain them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from itertools import islice
from typing import Any

import numpy as np

from whyclip.bulk.answer import Answer, Explain
from whyclip.bulk.decode import Decoder, Task
from whyclip.bulk.engine import Job
from whyclip.bulk.request import Explainer, Request
from whyclip.bulk.schema import MapType
from whyclip.errors import OptionError, WhyclipError, quoted, reason
from whyclip.models import ModelView

# Number of tasks given to Ray at once; this bounds memory for long sources.
_AT_ONCE = 4096
_COLUMN = "content"


class _Decode:
    """Read the images of tasks. A class, because Ray would run a function in the model's actor."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        return _each(rows, lambda task: self.decoder[task])


class _Explain:
    """Actor that holds the model and explains decoded tasks: one per GPU, or several on CPUs."""

    def __init__(self, kept: list[Any], request: Request, map_type: MapType, device: str) -> None:
        import ray

        model: ModelView = ray.get(kept[0])
        self.explain = Explain(Explainer(model.to(device), request), map_type)

    def __call__(self, rows: dict[str, Any]) -> dict[str, Any]:
        return _each(rows, lambda content: self.explain(*content))


def _each(rows: dict[str, Any], work: Callable[[Any], Any]) -> dict[str, Any]:
    """Apply a function to each object.

    An error of whyclip is returned as the result, because Ray would report the worker's traceback.
    """
    results = np.empty(len(rows[_COLUMN]), dtype=object)
    for index, content in enumerate(rows[_COLUMN]):
        results[index] = _attempt(work, content)
    return {_COLUMN: results}


def _attempt(work: Callable[[Any], Any], content: Any) -> Any:
    try:
        return work(content)
    except WhyclipError as error:
        return error


def answers_on_ray(job: Job, tasks: Iterator[Task], address: str | None) -> Iterator[Answer]:
    """Explain tasks on a Ray cluster, in any order; dead workers and nodes are replaced.

    Args:
        job: the job.
        tasks: read in chunks.
        address: address of a cluster; ``"auto"`` for this machine's cluster; None starts one for
            this run.

    Raises:
        OptionError: Ray is not installed, or no cluster answers at the address.
        ModelError: the model's scores cannot be explained.
    """
    try:
        import ray
        import ray.data
    except ImportError:
        raise OptionError("the Ray engine needs Ray: pip install 'whyclip[ray]'") from None
    model = job.explainer.model
    device = model.image.device.type
    with _connected(ray, address):
        # A list prevents Ray from resolving the reference into the object.
        # Weights are sent as CPU tensors, so that any process of the cluster can read them.
        kept = [ray.put(model if device == "cpu" else deepcopy(model).to("cpu"))]
        while chunk := list(islice(tasks, _AT_ONCE)):
            rows = [{_COLUMN: task} for task in chunk]
            dataset: Any = ray.data.from_items(rows, override_num_blocks=len(rows))
            dataset = dataset.map_batches(
                _Decode,
                batch_size=1,
                fn_constructor_args=[job.decoder],
                compute=_pool(ray, "CPU"),
                num_cpus=1,
            ).map_batches(
                _Explain,
                batch_size=1,
                fn_constructor_args=[kept, job.explainer.request, job.map_type, device],
                compute=_pool(ray, "CPU" if device == "cpu" else "GPU"),
                num_cpus=1,
                num_gpus=None if device == "cpu" else 1,
            )
            for answer in _results(ray, dataset):
                if isinstance(answer, WhyclipError):
                    raise answer
                yield answer


def _pool(ray: Any, resource: str) -> Any:
    """Actors on all GPUs, or on half of the CPUs, because decoding uses the other half."""
    count = int(ray.cluster_resources().get(resource, 1))
    most = count if resource == "GPU" else count // 2
    return ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, most))


def _results(ray: Any, dataset: Any) -> Iterator[Any]:
    try:
        for row in dataset.iter_rows():
            yield row[_COLUMN]
    except ray.exceptions.RayError as error:
        last = str(error).strip().splitlines()[-1]
        raise OptionError(f"Ray ended the run ({last}); the same call resumes") from None


@contextmanager
def _connected(ray: Any, address: str | None) -> Iterator[None]:
    """Connect to a cluster unless already connected; disconnect at the end."""
    with _quiet(ray):
        if ray.is_initialized():
            yield
            return
        try:
            with _environment("RAY_BACKEND_LOG_LEVEL", "fatal"):
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise OptionError(
                f"no Ray cluster at address {quoted(address)} ({reason(error)}); "
                "start one with `ray start --head`, or leave the address out"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def _quiet(ray: Any) -> Iterator[None]:
    """Silence Ray Data's progress and log lines, which would hide those of the run."""
    context, log = ray.data.DataContext.get_current(), logging.getLogger("ray.data")
    before = context.enable_progress_bars, log.level
    context.enable_progress_bars = False
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        context.enable_progress_bars, level = before
        log.setLevel(level)


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable temporarily, if it is unset."""
    if name in os.environ:
        yield
        return
    os.environ[name] = value
    try:
        yield
    finally:
        del os.environ[name]
