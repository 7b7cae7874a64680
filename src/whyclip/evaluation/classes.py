"""Zero-shot classification over a dataset's classes, and what is asked of each sample."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from whyclip.datasets import Dataset, Sample
from whyclip.datasets.annotation_files import digest
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import OutputError
from whyclip.evaluation.plan import PromptName
from whyclip.files import write_atomic
from whyclip.forward.targets import Targets
from whyclip.models import ModelView
from whyclip.progress import track
from whyclip.types import Precision

CLASSES_AT_ONCE = 16
# In the metadata of a file of directions.
OF = "of"


@dataclass(frozen=True)
class Subject:
    """A true label of a sample, and the prompt that is explained for it.

    Attributes:
        label: what is in the picture: where its mask is, and what top-k accuracy is about.
        number: of the label among the classes.
        prompt: the text that is explained.
        explained: number of the class that the prompt stands for.
        predicted: the label of the class with the greatest score.
        correct: whether the label is among the k classes with the greatest scores, of a picture
            with k labels; with one label, whether the prediction is right.
    """

    label: str
    number: int
    prompt: str
    explained: int
    predicted: str
    correct: bool


@dataclass(frozen=True)
class Classifier:
    """The model as zero-shot classifier of a dataset: a target for each class."""

    dataset: Dataset
    targets: Targets
    model: ModelView

    def subjects(self, sample: Sample, embedding: Tensor, prompt: PromptName) -> list[Subject]:
        """Say what is asked of a sample.

        Args:
            sample: the sample.
            embedding: ``[e]`` of its picture.
            prompt: ``"gt"`` gives a subject for each label, with the sample's own prompt;
                ``"pred"`` one, for the label that the model scores highest, with the prompt of the
                predicted class, which may be another.
        """
        scores = self.targets.score(embedding)
        order = scores.argsort(descending=True, stable=True).tolist()
        best = set(order[: len(sample.labels)])
        numbers = [self.dataset.number_of(label) for label in sample.labels]
        predicted = self.dataset.classes[order[0]]
        if prompt == "pred":
            number = max(numbers, key=lambda n: (float(scores[n]), n == order[0]))
            label = self.dataset.classes[number]
            text = self._text(order[0], self.dataset.prompt_of(predicted))
            return [Subject(label, number, text, order[0], predicted, number in best)]
        return [
            Subject(label, number, self._text(number, text), number, predicted, number in best)
            for label, number, text in zip(sample.labels, numbers, sample.prompts, strict=True)
        ]

    def renumbered(self, subject: Subject, prompt: PromptName) -> Subject:
        """The subject of an earlier run, whose classes may have been in another order."""
        number = self.dataset.number_of(subject.label)
        explained = number if prompt == "gt" else self.dataset.number_of(subject.predicted)
        return replace(subject, number=number, explained=explained)

    def _text(self, number: int, text: str) -> str:
        """A plain classifier is asked by the names of classes."""
        return text if self.model.classes is None else self.dataset.names[number]


def zero_shot(
    model: ModelView, dataset: Dataset, precision: Precision = "fp32", keep: Path | None = None
) -> Classifier:
    """Embed the dataset's classes: of several texts for a class, the mean direction.

    A plain classifier has classes of its own, among which the dataset's are looked up by name.

    Args:
        model: whose text tower embeds them.
        dataset: whose classes they are.
        precision: of the forward pass.
        keep: a file for the directions, as the 80,000 texts of ImageNet take a while; read where it
            is there already and of the same model, classes and precision.

    Raises:
        OptionError: a plain classifier has no class of that name.
        OutputError: the file cannot be read or written.
    """
    if keep is None:
        return Classifier(dataset, _embedded(model, dataset, precision), model)
    of = _kept_for(model, dataset, precision)
    targets = _read(keep, of)
    if targets is None:
        targets = _embedded(model, dataset, precision)
        _write(keep, of, targets)
    return Classifier(dataset, targets, model)


def _read(file: Path, of: str) -> Targets | None:
    """The directions that a file holds; None if there is none, or it is made of something else."""
    if not file.exists():
        return None
    try:
        with safe_open(file, "pt") as kept:
            if (kept.metadata() or {}).get(OF) != of:
                return None
            arrays = {name: kept.get_tensor(name) for name in kept.keys()}  # noqa: SIM118
        return Targets(arrays["directions"], float(arrays["scale"]), bias=arrays.get("bias"))
    except (SafetensorError, OSError, KeyError) as error:
        raise OutputError(f"{str(file)!r} was not written by whyclip: {error}") from None


def _write(file: Path, of: str, targets: Targets) -> None:
    arrays = {"directions": targets.directions, "scale": torch.tensor(targets.scale)}
    if targets.bias is not None:
        arrays["bias"] = targets.bias
    write_atomic(file, lambda: save(arrays, {OF: of}))


def _kept_for(model: ModelView, dataset: Dataset, precision: Precision) -> str:
    """What directions in a file must have been made of."""
    texts = json.dumps([dataset.names, dataset.class_prompts])
    return digest(f"{model.fingerprint} {precision} {texts}".encode())


def _embedded(model: ModelView, dataset: Dataset, precision: Precision) -> Targets:
    prompts = list(dataset.class_prompts)
    if model.classes is not None:
        prompts = [(name,) for name in dataset.names]
    parts = [prompts[i : i + CLASSES_AT_ONCE] for i in range(0, len(prompts), CLASSES_AT_ONCE)]
    found = [
        encode_prompts(model, part, precision=precision).targets()
        for part in track(parts, "embedding classes")
    ]
    biases = [part.bias for part in found if part.bias is not None]
    return Targets(
        torch.cat([part.directions for part in found]).cpu(),
        found[0].scale,
        bias=torch.cat(biases).cpu() if biases else None,
    )
