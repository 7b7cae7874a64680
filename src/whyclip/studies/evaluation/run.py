"""Measure the samples of an evaluation, with forward passes in full batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from whyclip.datasets import Dataset, Sample
from whyclip.datasets.dataset import sample_or_error
from whyclip.forward.targets import Targets
from whyclip.metrics import READINGS, Metric
from whyclip.metrics.accuracy import probability
from whyclip.models import ModelView
from whyclip.studies.candidates import Candidates
from whyclip.studies.cases import Case, CaseSetup, background_of, pixels_of
from whyclip.studies.evaluation.case_record import CaseRecord, PromptRecord
from whyclip.studies.evaluation.prompts import ExplainedPrompt, explained_prompts
from whyclip.studies.evaluation.setup import Setup
from whyclip.studies.measure import Entry, Loop, Requests, perturbed
from whyclip.studies.scoring import Encoder, TextDirections


@dataclass
class Run:
    """One evaluation of a model on a dataset."""

    model: ModelView
    dataset: Dataset
    setup: Setup
    candidates: Candidates
    batch_size: int = 64

    def __post_init__(self) -> None:
        """Create the encoder and the settings of all samples."""
        setup = self.setup
        self.encoder = Encoder(self.model, setup.precision, self.batch_size)
        self.cases = CaseSetup(
            self.model, setup.methods, self.candidates, setup.geometry, setup.precision
        )
        self.loop: Loop[CaseRecord] = Loop(self.encoder)

    def records(self, indices: Sequence[int], numbers: Sequence[int]) -> Iterator[CaseRecord]:
        """Measure samples, in order.

        Args:
            indices: indices of the samples in the dataset.
            numbers: number of the record of each sample.

        A sample that cannot be read gives a record with its error.

        Raises:
            ModelError: the model's forward pass cannot be reproduced; the message names the sample.
        """
        for record in self.loop.records(map(self._entry, indices, numbers)):
            # Values arrive as batches fill; sort them into the order of the setup.
            record.sort(self.setup.keys)
            yield record

    def _entry(self, index: int, number: int) -> Entry[CaseRecord]:
        sample = sample_or_error(self.dataset, index)
        name, image = f"number {number}", ""
        if isinstance(sample, Sample):
            name, image = sample.id, sample.image_id
        return Entry(
            name,
            sample,
            partial(self._sample, number),
            lambda error: CaseRecord(number, name, image, False, [], error=error),
        )

    def _sample(self, number: int, sample: Sample) -> Requests[CaseRecord]:
        """Explain one sample, compute metrics without perturbed images, and request the others."""
        explained: list[ExplainedPrompt] = []

        def choose(sample: Sample, scores: Tensor) -> list[str]:
            explained.extend(
                explained_prompts(
                    self.model, self.dataset, self.candidates, sample, scores, self.setup.prompt
                )
            )
            return [prompt.prompt for prompt in explained]

        case = self.cases.explained(self.cases.case(sample, choose))
        case.release_graphs()
        prompts = [PromptRecord(prompt) for prompt in explained]
        record = CaseRecord(number, sample.id, sample.image_id, bool(case.notes), prompts)
        self._words(case, record)
        targets = self.cases.prompt_targets(case.prompts)
        pixels, metrics = pixels_of(case), self.setup.edited("image")
        needed = any("background" in metric.needs for metric in metrics)
        background = background_of(case) if needed else None
        for label in self.setup.names:
            maps = case.maps(label)
            if maps is None:
                continue
            # One method at a time, because maps have the full size of the image.
            heatmap = case.heatmap(maps)
            self._locations(case, record, label, heatmap)
            for index, prompt in enumerate(prompts):
                receive = partial(self._receive, prompt, label, targets[index : index + 1])
                yield from perturbed(
                    pixels, heatmap[index], metrics, self.setup.seed, receive, background
                )
        return record

    def _receive(
        self,
        prompt: PromptRecord,
        label: str,
        target: Targets,
        metrics: Sequence[Metric],
        amounts: Tensor,
        embeddings: Tensor,
    ) -> None:
        """Turn the embeddings ``[m, e]`` of perturbed images into values.

        The score is for the explained prompt, the probability for its class among all classes, and
        top-k accuracy for the true class.
        """
        scores = self.candidates.targets.score(embeddings)
        answers: dict[str, Tensor] = {}
        for reading in dict.fromkeys(r for metric in metrics for r in metric.readings):
            if reading == "score":
                answers[reading] = target.score(embeddings)[:, 0]
            elif reading == "probability":
                scale = self.candidates.targets.scale
                answers[reading] = probability(scores, prompt.subject.explained, scale)
            else:
                answers[reading] = READINGS[reading](scores, prompt.subject.number)
        _put(prompt, label, metrics, amounts, answers)

    def _locations(self, case: Case, record: CaseRecord, label: str, heatmap: Tensor) -> None:
        """Compare maps ``[n, H, W]`` with masks; labels without a mask have no value."""
        if not self.setup.located:
            return
        heatmap = case.without_ignored(heatmap)
        for prompt, values in zip(record.measured, heatmap, strict=True):
            mask = case.mask(prompt.subject.label)
            for metric in self.setup.located:
                value = float("nan")
                if mask is not None:
                    value = float(metric.value(values, torch.from_numpy(mask)))
                prompt.values[label, metric.name, ""] = value

    def _words(self, case: Case, record: CaseRecord) -> None:
        """Delete and insert words, with all prompts of a sample embedded together."""
        requests: list[tuple[PromptRecord, str, Metric, Tensor, list[str]]] = []
        for label in self.setup.names:
            for prompt, words in zip(record.measured, case.words(label), strict=True):
                for metric in self.setup.edited("text") if words else ():
                    assert metric.edits is not None
                    shortened = metric.edits(prompt.subject.prompt, words, seed=self.setup.seed)
                    requests.append((prompt, label, metric, shortened.amounts, list(shortened)))
        directions = TextDirections(self.encoder)
        directions.encode([text for *_, texts in requests for text in texts])
        for prompt, label, metric, amounts, texts in requests:
            scores = directions.directions(texts) @ case.own_direction
            _put(prompt, label, [metric], amounts, {"score": scores})


def _put(
    prompt: PromptRecord,
    label: str,
    metrics: Sequence[Metric],
    amounts: Tensor,
    answers: Mapping[str, Tensor],
) -> None:
    for metric in metrics:
        for reading in metric.readings:
            value = float(metric.value(amounts, answers[reading]))
            prompt.values[label, metric.name, reading] = value
            if metric.curve_points:
                prompt.put_curve(metric, label, reading, amounts, answers[reading])
