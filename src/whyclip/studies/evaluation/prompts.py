"""Which prompts of a sample an evaluation explains, and whether the model gets them right."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from whyclip.datasets import Dataset, Sample
from whyclip.models import ModelView
from whyclip.studies.candidates import Candidates, ranked, recognised
from whyclip.studies.evaluation.setup import PromptName


@dataclass(frozen=True)
class ExplainedPrompt:
    """A true label of a sample, and the prompt that is explained for it.

    Attributes:
        label: what is in the image: where its mask is, and what top-k accuracy is about.
        number: of the label among the classes.
        prompt: the text that is explained.
        explained: number of the class that the prompt stands for.
        predicted: the label of the class with the greatest score.
        correct: whether the label is among the k classes with the greatest scores, of an image
            with k labels; with one label, whether the prediction is right.
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
    """Choose the prompts of a sample that are explained.

    Args:
        model: the model; for a plain classifier, prompts are class names.
        dataset: dataset whose classes are the candidates.
        candidates: the classes.
        sample: the sample.
        scores: ``[c]`` of its image with all candidates.
        prompt: ``"gt"`` gives one for each label, with the sample's own prompt; ``"pred"`` one, for
            the label that the model scores highest, with the prompt of the predicted class, which
            may be another.
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
    """Look up the class numbers of a prompt from an earlier run, whose classes may be reordered."""
    number = dataset.number_of(explained.label)
    other = number if prompt == "gt" else dataset.number_of(explained.predicted)
    return replace(explained, number=number, explained=other)
