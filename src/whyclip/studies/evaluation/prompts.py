"""The explained prompts of a sample, and whether the model is correct for them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from whyclip.datasets import Dataset, Sample
from whyclip.models import ModelView
from whyclip.studies.candidates import Candidates, ranked, recognised
from whyclip.studies.evaluation.setup import PromptName


@dataclass(frozen=True)
class ExplainedPrompt:
    """A true label of a sample, and its explained prompt.

    Attributes:
        label: true label, used for masks and top-k accuracy.
        number: number of the label among the classes.
        prompt: explained prompt.
        explained: number of the class of the explained prompt.
        predicted: label of the class with the highest score.
        correct: whether the label is among the k classes with the highest scores, for an image with
            k labels; with one label, whether the prediction is correct.
    """

    label: str
    number: int
    prompt: str
    explained: int
    predicted: str
    correct: bool


def explained_prompts(
    model: ModelView,
    dataset: Dataset,
    candidates: Candidates,
    sample: Sample,
    scores: Tensor,
    prompt: PromptName,
) -> list[ExplainedPrompt]:
    """Choose the prompts of a sample to explain.

    Args:
        model: the model; for a plain classifier, prompts are class names.
        dataset: dataset whose classes are the candidates.
        candidates: the classes.
        sample: the sample.
        scores: ``[c]`` scores of its image with all candidates.
        prompt: ``"gt"`` gives one per label, with the sample's prompt; ``"pred"`` gives one, for
            the label with the highest score, with the prompt of the predicted class, which can
            differ.
    """
    best = ranked(scores)[0]
    numbers = [dataset.number_of(label) for label in sample.labels]
    right = dict(zip(numbers, recognised(scores, numbers), strict=True))
    predicted = dataset.classes[best]
    if prompt == "pred":
        number = max(numbers, key=lambda n: (float(scores[n]), n == best))
        label, text = dataset.classes[number], candidates.prompts[best]
        return [ExplainedPrompt(label, number, text, best, predicted, right[number])]
    texts = sample.prompts
    if model.classes is not None:
        texts = tuple(candidates.prompts[number] for number in numbers)
    return [
        ExplainedPrompt(label, number, text, number, predicted, right[number])
        for label, number, text in zip(sample.labels, numbers, texts, strict=True)
    ]


def renumbered(dataset: Dataset, explained: ExplainedPrompt, prompt: PromptName) -> ExplainedPrompt:
    """Update the class numbers of a prompt from an earlier run, as the class order can change."""
    number = dataset.number_of(explained.label)
    other = number if prompt == "gt" else dataset.number_of(explained.predicted)
    return replace(explained, number=number, explained=other)
