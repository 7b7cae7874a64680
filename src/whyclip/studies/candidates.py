"""The candidate classes or prompts for zero-shot classification in all studies."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from whyclip.datasets import Dataset, Sample
from whyclip.datasets.annotation_files import digest
from whyclip.encoded_classes import class_targets
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import InputError, OutputError
from whyclip.files import write_atomic
from whyclip.forward.targets import Targets
from whyclip.models import ModelView
from whyclip.types import Precision

# Key in the metadata of a file of class embeddings.
OF = "of"


@dataclass(frozen=True)
class Candidates:
    """c candidates, each with a prompt and its text embedding.

    Attributes:
        prompts: prompts of the candidates, in order.
        numbers: position of each label among the candidates; None without labels, in which case a
            prompt matches its image but need not be the best match.
        targets: the c target embeddings.
    """

    prompts: tuple[str, ...]
    numbers: Mapping[str, int] | None
    targets: Targets

    def labels_of(self, sample: Sample) -> tuple[int, ...] | None:
        """Positions of a sample's labels among the candidates; None without labels."""
        return None if self.numbers is None else tuple(self.numbers[x] for x in sample.labels)

    def distractor(self, scores: Tensor, taken: Sequence[str], labels: Sequence[int]) -> int | None:
        """The best candidate that does not match the sample; None if there is none."""
        for number in ranked(scores):
            if number not in labels and self.prompts[number] not in taken:
                return number
        return None


def ranked(scores: Tensor) -> list[int]:
    """Indices of candidates by falling score ``[c]``; ties keep their order."""
    order: list[int] = scores.argsort(descending=True, stable=True).tolist()
    return order


def recognised(scores: Tensor, labels: Sequence[int]) -> tuple[bool, ...]:
    """Whether each of k labels is among the k candidates with the highest scores ``[c]``.

    Example:
        >>> recognised(torch.tensor([0.1, 0.5, 0.3]), [1, 0])
        (True, False)
    """
    best = set(ranked(scores)[: len(labels)])
    return tuple(label in best for label in labels)


def share_recognised(scores: Tensor, labels: Sequence[int]) -> float:
    """Share of k labels that are among the k candidates with the highest scores ``[c]``."""
    right = recognised(scores, labels)
    return sum(right) / len(right)


def prompt_candidates(model: ModelView, dataset: Dataset, samples: Sequence[Sample]) -> Candidates:
    """Make candidates with one prompt each, as text explanations need.

    The candidates are the dataset's classes, or without labels all distinct prompts of the samples.
    Unlike in :func:`class_candidates`, each class has one prompt even if the dataset has templates.

    Raises:
        InputError: there are fewer than two prompts.
        PromptError: a classifier lacks one of the classes.
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
            f"{dataset.name} has only {prompts!r}; an audit needs at least two different prompts"
        )
    numbers = None
    if labelled:
        # Two classes with the same name share one prompt.
        distinct = tuple(dict.fromkeys(prompts))
        place = {prompt: number for number, prompt in enumerate(distinct)}
        pairs = zip(dataset.classes, prompts, strict=True)
        numbers = {label: place[prompt] for label, prompt in pairs}
        prompts = distinct
    with torch.no_grad():
        targets = encode_prompts(model, list(prompts)).targets()
    return Candidates(prompts, numbers, targets)


def is_labelled(dataset: Dataset, samples: Sequence[Sample]) -> bool:
    """Whether the samples have class labels, and not only prompts."""
    known = set(dataset.classes)
    return (
        len(known) > 1
        and all(label in known for sample in samples for label in sample.labels)
        and any(sample.labels != sample.prompts for sample in samples)
    )


def class_candidates(
    model: ModelView, dataset: Dataset, precision: Precision = "fp32", keep: Path | None = None
) -> Candidates:
    """Make candidates from a dataset's classes; several prompts of a class give a mean embedding.

    For a plain classifier, the classes of the dataset are looked up by name.

    Args:
        model: model whose text encoder embeds the classes.
        dataset: dataset with the classes.
        precision: precision of the forward pass.
        keep: file for the embeddings, because the 80,000 prompts of ImageNet take a while; it is
            read if it has the same model, classes and precision.

    Raises:
        OptionError: a plain classifier has no class of that name.
        OutputError: the file cannot be read or written.
    """
    return Candidates(
        tuple(_text(model, dataset, number) for number in range(len(dataset.classes))),
        {label: number for number, label in enumerate(dataset.classes)},
        _directions(model, dataset, precision, keep),
    )


def _text(model: ModelView, dataset: Dataset, number: int) -> str:
    """The prompt of a class; for a plain classifier, the class name."""
    names = model.classes is not None
    return dataset.names[number] if names else dataset.prompt_of(dataset.classes[number])


def _directions(
    model: ModelView, dataset: Dataset, precision: Precision, keep: Path | None
) -> Targets:
    """Embed the classes, or read their embeddings from the file."""
    if keep is None:
        return _embedded(model, dataset, precision)
    of = _kept_for(model, dataset, precision)
    targets = _read(keep, of)
    if targets is None:
        targets = _embedded(model, dataset, precision)
        _write(keep, of, targets)
    return targets


def _read(file: Path, of: str) -> Targets | None:
    """The embeddings in a file; None if it does not exist or has other prompts."""
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
    """Digest of everything that affects the embeddings."""
    texts = json.dumps([dataset.names, dataset.class_prompts])
    return digest(f"{model.fingerprint} {precision} {texts}".encode())


def _embedded(model: ModelView, dataset: Dataset, precision: Precision) -> Targets:
    prompts = list(dataset.class_prompts)
    if model.classes is not None:
        prompts = [(name,) for name in dataset.names]
    parts = class_targets(model, prompts, precision)
    biases = [part.bias for part in parts if part.bias is not None]
    return Targets(
        torch.cat([part.directions for part in parts]).cpu(),
        parts[0].scale,
        bias=torch.cat(biases).cpu() if biases else None,
    )
