"""The run itself: samples in, records out, the model's forward passes in full batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.datasets import Dataset, Sample
from whyclip.datasets.dataset import same_size, sample_or_error
from whyclip.errors import InputError, ModelError
from whyclip.explanation import Explanation
from whyclip.forward.targets import Targets
from whyclip.metrics import READINGS, Metric, Perturbations, stream
from whyclip.metrics.accuracy import probability
from whyclip.models import ModelView
from whyclip.perturbation.fills import Pixels
from whyclip.studies.candidates import Candidates
from whyclip.studies.evaluation.case_record import CaseRecord, PromptRecord
from whyclip.studies.evaluation.explaining import Explainer
from whyclip.studies.evaluation.plan import Plan
from whyclip.studies.evaluation.prompts import ExplainedPrompt, explained_prompts
from whyclip.studies.scoring import Encoder


@dataclass(frozen=True)
class Asked:
    """Perturbations on their way through the model, and what is done with their embeddings."""

    done: Callable[[Tensor], None]
    finished: CaseRecord | None = None


@dataclass
class Run:
    """One evaluation of a model on a dataset.

    Perturbations of many samples share the model's batches, so that all but the last are full;
    memory holds one batch of them, and the numbers of the samples that are in it.
    """

    model: ModelView
    dataset: Dataset
    plan: Plan
    candidates: Candidates
    batch_size: int = 64
    waiting: deque[Asked] = field(default_factory=deque, repr=False)

    def __post_init__(self) -> None:
        """Make what asks the model."""
        self.encoder = Encoder(self.model, self.plan.precision, self.batch_size)
        self.explainer = Explainer(self.model, self.plan)

    def records(self, indices: Sequence[int], numbers: Sequence[int]) -> Iterator[CaseRecord]:
        """Measure samples, in order.

        Args:
            indices: of the samples in the dataset.
            numbers: for each the number that its record shall have.

        A sample that cannot be read gives a record with its error.

        Raises:
            ModelError: the model cannot be asked; the message has the sample's id.
        """
        sequences = self._sequences(indices, numbers)
        for embeddings in stream(sequences, self.encoder.images, self.batch_size):
            asked = self.waiting.popleft()
            asked.done(embeddings)
            if asked.finished is not None:
                # Answers come as batches fill; what is written is in the order of the plan.
                asked.finished.sort(self.plan.keys)
                yield asked.finished

    def _sequences(
        self, indices: Sequence[int], numbers: Sequence[int]
    ) -> Iterator[Perturbations[Pixels]]:
        for index, number in zip(indices, numbers, strict=True):
            sample = sample_or_error(self.dataset, index)
            if isinstance(sample, InputError):
                yield self._end(_failed(number, f"number {number}", "", sample))
                continue
            try:
                with _named(sample):
                    yield from self._sample(sample, number)
            except InputError as error:
                yield self._end(_failed(number, sample.id, sample.image_id, error))

    def _end(self, record: CaseRecord) -> Perturbations[Any]:
        """A sequence of no edits comes back when all before it have."""
        self.waiting.append(Asked(lambda _: None, record))
        return Perturbations(torch.zeros(0), lambda: iter(()))

    def _sample(self, sample: Sample, number: int) -> Iterator[Perturbations[Pixels]]:
        """Explain one sample, measure what asks nothing of the model, and yield all edits."""
        pixels = np.asarray(sample.image)
        # Alone, so that neither a damaged image nor rounding reaches other samples.
        [embedding] = self.encoder.images([pixels])
        subjects = explained_prompts(
            self.model, self.dataset, self.candidates, sample, embedding, self.plan.prompt
        )
        found = self.explainer.explain(pixels, [subject.prompt for subject in subjects])
        first = next(iter(found.values()))
        record = CaseRecord(
            number,
            sample.id,
            sample.image_id,
            bool(first.notes),
            [PromptRecord(subject) for subject in subjects],
        )
        self._words(record, found, embedding)
        directions = self.explainer.targets([subject.prompt for subject in subjects])
        for name, explanation in found.items():
            if explanation.maps is None:
                continue
            # At the picture's own size, and so for one method at a time.
            heatmap = explanation.heatmap(interpolation="bilinear")
            self._places(record, sample, name, heatmap)
            for index, one in enumerate(record.measured):
                target = directions[index : index + 1]
                for edits, metrics in _shared(self.plan.edited("image")):
                    made = edits(pixels, heatmap[index], seed=self.plan.seed)
                    self.waiting.append(Asked(self._reader(one, name, metrics, made, target)))
                    yield made
        yield self._end(record)

    def _reader(
        self,
        one: PromptRecord,
        method: str,
        metrics: Sequence[Metric],
        edits: Perturbations[Any],
        target: Targets,
    ) -> Callable[[Tensor], None]:
        """Say how the embeddings of these edits become values."""
        amounts = edits.amounts

        def done(embeddings: Tensor) -> None:
            answers = self._answers(embeddings, one.subject, target, metrics)
            _put(one, method, metrics, amounts, answers)

        return done

    def _answers(
        self,
        embeddings: Tensor,
        subject: ExplainedPrompt,
        target: Targets,
        metrics: Sequence[Metric],
    ) -> dict[str, Tensor]:
        """Read the numbers ``[m]`` that metrics take from embeddings ``[m, e]``.

        The score is that of the explained prompt itself; the probability is that of its class among
        all classes; top-k accuracy is about the true class.
        """
        scores = self.candidates.targets.score(embeddings)
        answers: dict[str, Tensor] = {}
        for read in dict.fromkeys(read for metric in metrics for read in metric.readings):
            if read == "score":
                answers[read] = target.score(embeddings)[:, 0]
            elif read == "probability":
                scale = self.candidates.targets.scale
                answers[read] = probability(scores, subject.explained, scale)
            else:
                answers[read] = READINGS[read](scores, subject.number)
        return answers

    def _places(self, record: CaseRecord, sample: Sample, method: str, heatmap: Tensor) -> None:
        """Hold maps ``[n, H, W]`` against masks; what has no mask has no value."""
        if not self.plan.located:
            return
        size = heatmap.shape[1], heatmap.shape[2]
        ignored = sample.ignored
        if ignored is not None:
            same_size(ignored, *size, "the mask of open parts")
            heatmap = heatmap.masked_fill(torch.from_numpy(ignored), float("nan"))
        for one, laid in zip(record.measured, heatmap, strict=True):
            mask = (sample.masks or {}).get(one.subject.label)
            if mask is not None:
                same_size(mask, *size, f"the mask of {one.subject.label!r:.60}")
            for metric in self.plan.located:
                value = float("nan")
                if mask is not None:
                    value = float(metric.value(laid, torch.from_numpy(mask)))
                one.values[method, metric.name, ""] = value

    def _words(self, record: CaseRecord, found: dict[str, Explanation], embedding: Tensor) -> None:
        """Delete and insert words; the texts of a sample are embedded together."""
        metrics = self.plan.edited("text")
        made: list[tuple[PromptRecord, str, Metric, Tensor, list[str]]] = []
        for name, explanation in found.items():
            for one, words in zip(record.measured, explanation.words, strict=True):
                for metric in metrics if words else ():
                    assert metric.edits is not None
                    edits = metric.edits(one.subject.prompt, words, seed=self.plan.seed)
                    made.append((one, name, metric, edits.amounts, list(edits)))
        texts = self.encoder.texts([text for *_, edited in made for text in edited])
        picture = F.normalize(embedding.float(), dim=-1)
        for one, name, metric, amounts, edited in made:
            unit = F.normalize(torch.stack([texts[text] for text in edited]), dim=-1)
            _put(one, name, [metric], amounts, {"score": unit @ picture})


def _shared(
    metrics: Sequence[Metric],
) -> list[tuple[Callable[..., Perturbations[Any]], list[Metric]]]:
    """Metrics that look at the same edits."""
    found: dict[Callable[..., Perturbations[Any]], list[Metric]] = {}
    for metric in metrics:
        assert metric.edits is not None
        found.setdefault(metric.edits, []).append(metric)
    return list(found.items())


def _put(
    one: PromptRecord,
    method: str,
    metrics: Sequence[Metric],
    amounts: Tensor,
    answers: dict[str, Tensor],
) -> None:
    for metric in metrics:
        for read in metric.readings:
            value = float(metric.value(amounts, answers[read]))
            one.values[method, metric.name, read] = value
            if metric.curve_points:
                one.put_curve(metric, method, read, amounts, answers[read])


def _failed(number: int, sample: str, image: str, error: InputError) -> CaseRecord:
    return CaseRecord(number, sample, image, False, [], error=" ".join(str(error).split()))


@contextmanager
def _named(sample: Sample) -> Iterator[None]:
    """Say in errors of the model at which sample they came up."""
    try:
        yield
    except ModelError as error:
        raise type(error)(f"sample {sample.id!r}: {error}") from error
