"""The loop over a study's samples, with perturbed images in full batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

import torch
from torch import Tensor

from whyclip.datasets import Sample
from whyclip.errors import InputError, ModelError, OptionError
from whyclip.metrics import Metric, Perturbations, stream
from whyclip.perturbation.fills import Pixels
from whyclip.studies.scoring import Encoder

Record = TypeVar("Record")

# Takes the metrics, the amounts [m] and the embeddings [m, e] of perturbed images.
Receive = Callable[[Sequence[Metric], Tensor, Tensor], None]


@dataclass(frozen=True)
class Request:
    """Perturbed images, and the function that receives their embeddings ``[m, e]``."""

    images: Perturbations[Pixels]
    receive: Callable[[Tensor], None]


Requests = Generator[Request, None, Record]
"""Generator that measures one sample: it yields requests and returns the sample's record."""


@dataclass(frozen=True)
class Entry(Generic[Record]):
    """A sample with its functions for the loop.

    Attributes:
        name: name of the sample, for messages.
        sample: the sample, or an error if it cannot be read.
        measure: function that explains and measures the sample.
        failed: function that makes the record of a failed sample from the one-line reason.
    """

    name: str
    sample: Sample | InputError
    measure: Callable[[Sample], Requests[Record]]
    failed: Callable[[str], Record]


@dataclass(frozen=True)
class _Finished(Generic[Record]):
    record: Record


@dataclass
class Loop(Generic[Record]):
    """Loop that measures samples one at a time.

    Perturbed images of many samples share batches, so that every batch except the last is full.
    Memory holds one batch of them, and the values of its samples.
    """

    encoder: Encoder
    waiting: deque[Request | _Finished[Record]] = field(default_factory=deque)

    def records(self, entries: Iterable[Entry[Record]]) -> Iterator[Record]:
        """Yield the record of each sample, in order, as soon as all its requests are complete.

        Raises:
            OptionError: an option is invalid for every sample.
            ModelError: the model's forward pass cannot be reproduced; the message names the sample.
        """
        batch_size = self.encoder.batch_size
        for embeddings in stream(self._images(entries), self.encoder.images, batch_size):
            answered = self.waiting.popleft()
            if isinstance(answered, _Finished):
                yield answered.record
            else:
                answered.receive(embeddings)

    def _images(self, entries: Iterable[Entry[Record]]) -> Iterator[Perturbations[Pixels]]:
        for entry in entries:
            try:
                if isinstance(entry.sample, InputError):
                    raise entry.sample
                with _named(entry.name):
                    record = yield from self._requested(entry.measure(entry.sample))
            except InputError as error:
                # An option error concerns all samples, unless it comes from reading this one.
                if isinstance(error, OptionError) and error is not entry.sample:
                    raise
                record = entry.failed(" ".join(str(error).split()))
            # A sequence without images is complete once all earlier sequences are.
            self.waiting.append(_Finished(record))
            yield Perturbations(torch.zeros(0), lambda: iter(()))

    def _requested(
        self, requests: Requests[Record]
    ) -> Generator[Perturbations[Pixels], None, Record]:
        while True:
            try:
                request = next(requests)
            except StopIteration as stop:
                record: Record = stop.value
                return record
            self.waiting.append(request)
            yield request.images


def perturbed(
    pixels: Pixels,
    heatmap: Tensor,
    metrics: Sequence[Metric],
    seed: int,
    receive: Receive,
    background: Pixels | None = None,
) -> Iterator[Request]:
    """Perturb an image for metrics, in the order of a heatmap ``[H, W]``.

    Metrics with the same perturbation share its images.

    Args:
        pixels: uint8 ``[H, W, 3]``.
        heatmap: relevance of each pixel.
        metrics: metrics that perturb images.
        seed: random seed of the perturbations.
        receive: function that receives the embeddings.
        background: the image without its objects; if None, metrics that need it have no value.
    """
    by_edits: dict[Callable[..., Perturbations[Pixels]], list[Metric]] = {}
    for metric in metrics:
        assert metric.edits is not None, "only metrics that perturb images"
        if "background" in metric.needs and background is None:
            continue
        by_edits.setdefault(metric.edits, []).append(metric)
    for edits, sharing in by_edits.items():
        given = {"background": background} if "background" in sharing[0].needs else {}
        images = edits(pixels, heatmap, seed=seed, **given)
        yield Request(images, partial(receive, sharing, images.amounts))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Add the sample's name to errors of the model."""
    try:
        yield
    except ModelError as error:
        raise type(error)(f"sample {name!r}: {error}") from error
