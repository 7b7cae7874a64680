"""The prompts a picture is judged among: a dataset's classes, or all prompts of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from whyclip.datasets.dataset import Dataset, Sample
from whyclip.encoded_prompts import EncodedPrompts, encode_prompts
from whyclip.errors import InputError
from whyclip.forward.targets import Targets
from whyclip.models import ModelView


@dataclass(frozen=True)
class Pool:
    """c prompts and the model's own directions of them.

    Attributes:
        prompts: all distinct; of classes, in the order of their numbers.
        numbers: the place of each label among the prompts; None where nobody labelled the
            samples, so that a prompt is known to fit its picture but not to be the best.
        targets: the c directions.
        question: the prompts run through the text tower, nothing of its blocks kept.
    """

    prompts: tuple[str, ...]
    numbers: dict[str, int] | None
    targets: Targets
    encoded: EncodedPrompts

    def labels_of(self, sample: Sample) -> tuple[int, ...] | None:
        """Places of a sample's labels among the prompts; None without labels."""
        return None if self.numbers is None else tuple(self.numbers[x] for x in sample.labels)

    def rival(self, scores: Tensor, taken: Sequence[str], labels: Sequence[int]) -> int | None:
        """The best prompt that is none of the sample's own; None where there is no other."""
        for number in scores.argsort(descending=True).tolist():
            if number not in labels and self.prompts[number] not in taken:
                return int(number)
        return None


def among_best(scores: Tensor, labels: Sequence[int]) -> tuple[bool, ...]:
    """Say which of k labels are among the k prompts with the greatest scores ``[c]``."""
    best = set(scores.topk(min(len(labels), len(scores))).indices.tolist())
    return tuple(label in best for label in labels)


def pool_of(model: ModelView, dataset: Dataset, samples: Sequence[Sample]) -> Pool:
    """Make the pool of a dataset and encode it.

    Raises:
        InputError: there are fewer than two prompts to choose from.
        PromptError: of a classifier, a class that it does not have.
    """
    labelled = is_labelled(dataset, samples)
    if labelled:
        prompts = dataset.names
        if model.classes is None:
            prompts = tuple(dataset.prompt_of(label) for label in dataset.classes)
    else:
        prompts = tuple(dict.fromkeys(prompt for sample in samples for prompt in sample.prompts))
    if len(prompts) < 2:
        raise InputError(
            f"{dataset.name} asks only {prompts!r}; an audit needs at least two different prompts"
        )
    numbers = None
    if labelled:
        # Two classes may have one name; both then stand for the same prompt.
        distinct = tuple(dict.fromkeys(prompts))
        place = {prompt: number for number, prompt in enumerate(distinct)}
        numbers = {
            label: place[prompt] for label, prompt in zip(dataset.classes, prompts, strict=True)
        }
        prompts = distinct
    with torch.no_grad():
        encoded = encode_prompts(model, list(prompts))
    return Pool(prompts, numbers, encoded.targets(), encoded)


def is_labelled(dataset: Dataset, samples: Sequence[Sample]) -> bool:
    """Whether the samples have labels of a list of classes, and not their prompts alone."""
    known = set(dataset.classes)
    return (
        len(known) > 1
        and all(label in known for sample in samples for label in sample.labels)
        and any(sample.labels != sample.prompts for sample in samples)
    )
