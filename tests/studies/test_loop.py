"""The loop of all studies: full batches, records in order, failures as records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from whyclip.datasets import Sample
from whyclip.errors import ImageError, OptionError, UnsupportedModelError
from whyclip.perturbation.perturbations import Perturbations
from whyclip.studies.measure import Entry, Loop, Request, Requests


class Means:
    """An encoder of one number, the image's mean, that notes how many images it was given."""

    def __init__(self) -> None:
        self.batch_size = 4
        self.batches: list[int] = []

    def images(self, pixels: Sequence[Any]) -> Tensor:
        self.batches.append(len(pixels))
        return torch.tensor([[float(image.mean())] for image in pixels])


def images(values: Sequence[int]) -> Perturbations[Any]:
    def make() -> Iterator[Any]:
        return (np.full((2, 2, 3), value, np.uint8) for value in values)

    return Perturbations(torch.zeros(len(values)), make)


def entry(name: str, *requests: Sequence[int], error: Exception | None = None) -> Entry[Any]:
    def measure(sample: Sample) -> Requests[Any]:
        record: list[Any] = [sample.id]
        for values in requests:
            yield Request(images(values), lambda answer: record.append(answer[:, 0].tolist()))
        if error is not None:
            raise error
        return record

    return Entry(
        name, Sample(name, Path("none"), ("it",), ("it",)), measure, lambda why: [name, why]
    )


def run(*entries: Entry[Any]) -> tuple[list[Any], list[int]]:
    encoder = Means()
    loop: Loop[Any] = Loop(encoder)  # type: ignore[arg-type]
    return list(loop.records(entries)), encoder.batches


def test_answers_come_to_their_own_sample_from_shared_batches() -> None:
    records, batches = run(
        entry("a", [1, 2, 3], [4]), entry("b"), entry("c", [5, 6, 7, 8, 9, 10], [11, 12])
    )
    assert records == [
        ["a", [1, 2, 3], [4]],
        ["b"],
        ["c", [5, 6, 7, 8, 9, 10], [11, 12]],
    ]
    assert batches == [4, 4, 4]


def test_a_record_is_complete_before_a_later_sample_is_begun() -> None:
    begun: list[str] = []

    def noted() -> Iterator[Entry[Any]]:
        for each in (entry("a"), entry("b", [1, 2, 3, 4]), entry("c")):
            begun.append(each.name)
            yield each

    loop: Loop[Any] = Loop(Means())  # type: ignore[arg-type]
    seen = [(record[0], list(begun)) for record in loop.records(noted())]
    assert seen == [("a", ["a"]), ("b", ["a", "b"]), ("c", ["a", "b", "c"])]


def test_a_sample_that_fails_half_way_is_a_record_with_its_reason() -> None:
    broken = entry("bad", [1, 2], error=ImageError("torn\n  in two"))
    undescribed = Entry("row 3", OptionError("no label"), broken.measure, lambda why: ["row", why])
    records, batches = run(broken, entry("good", [3, 4, 5]), undescribed)
    assert records == [["bad", "torn in two"], ["good", [3, 4, 5]], ["row", "no label"]]
    assert batches == [4, 1]


def test_what_concerns_all_samples_ends_the_run() -> None:
    with pytest.raises(OptionError, match="no such layer"):
        run(entry("a", error=OptionError("no such layer")))
    with pytest.raises(UnsupportedModelError, match="^sample 'a': no attention$"):
        run(entry("a", error=UnsupportedModelError("no attention")))
