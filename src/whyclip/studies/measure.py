"""The loop over a study's samples: samples in, records out, perturbed images in full batches."""

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
    """Perturbed images, and what is done with the model's embeddings ``[m, e]`` of them."""

    images: Perturbations[Pixels]
    receive: Callable[[Tensor], None]


Requests = Generator[Request, None, Record]
"""What measures one sample: it yields requests, and returns the record that answers complete."""


@dataclass(frozen=True)
class Entry(Generic[Record]):
    """A sample on its way into the loop.

    Attributes:
        name: of the sample, for messages.
        sample: the sample; an error if it cannot be described.
        measure: explains and measures it.
        failed: makes the record of a sample that cannot be measured, from the one-line reason.
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
    """Measures samples, one after the other.

    Perturbed images of many samples share the model's batches, so that all but the last are full;
    memory holds one batch of them, and the numbers of the samples that are in it.
    """

    encoder: Encoder
    waiting: deque[Request | _Finished[Record]] = field(default_factory=deque)

    def records(self, entries: Iterable[Entry[Record]]) -> Iterator[Record]:
        """Yield the record of each sample, in order, as soon as all its requests are answered.

        Raises:
            OptionError: an option that fails for every sample.
            ModelError: the model cannot be followed; the message has the sample's name.
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
                # An option is no matter of one sample, unless its description has it.
                if isinstance(error, OptionError) and error is not entry.sample:
                    raise
                record = entry.failed(" ".join(str(error).split()))
            # A sequence of no images is answered when all before it are.
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
    """Perturb an image in the order of a heatmap ``[H, W]``, as metrics want it.

    Metrics of one kind of perturbation share its images.

    Args:
        pixels: uint8 ``[H, W, 3]``.
        heatmap: relevance of each pixel.
        metrics: those that perturb images.
        seed: of the perturbations.
        receive: gets the answers.
        background: the image without its objects; without it, metrics that need it have no value.
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
    """Name the sample in errors of the model."""
    try:
        yield
    except ModelError as error:
        raise type(error)(f"sample {name!r}: {error}") from error
