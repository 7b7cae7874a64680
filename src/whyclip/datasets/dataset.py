"""What a dataset gives: samples, one by one, read from disk when they are looked at."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, overload

import numpy as np
from PIL import Image

from whyclip.datasets.annotation_files import Mask, digest
from whyclip.errors import InputError
from whyclip.inputs import read_image

TEMPLATE = "a photo of a {}."
_LOOKED_AT_FOR_MASKS = 50


class Masks(Mapping[str, Mask]):
    """Masks of the labels of one image, bool ``[H, W]`` each, decoded when first looked at."""

    def __init__(self, decode: Callable[[], Mapping[str, Mask]]) -> None:
        self._decode = decode

    @cached_property
    def _decoded(self) -> Mapping[str, Mask]:
        return self._decode()

    def __getitem__(self, label: str) -> Mask:
        return self._decoded[label]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded)

    def __len__(self) -> int:
        return len(self._decoded)


@dataclass(frozen=True)
class Sample:
    """One image with what is true of it.

    Attributes:
        id: the same at every reading of the dataset, and its own.
        source: where the image is, or the image.
        labels: what is in the image, each one of the dataset's ``classes``.
        prompts: for each label the text to explain.
        masks: for each label, where it is: bool ``[H, W]``; None where nobody drew them.
        open_parts: makes the mask of what the truth leaves open (neither object nor
            background), for datasets that have such parts.
        image_id: what samples of one picture have in common, as they do not count as independent;
            by default the path of the image, or else the id.
    """

    id: str
    source: Path | Image.Image
    labels: tuple[str, ...]
    prompts: tuple[str, ...]
    masks: Mapping[str, Mask] | None = None
    open_parts: Callable[[], Mask] | None = None
    image_id: str = ""

    def __post_init__(self) -> None:
        """Name the image where nobody did."""
        own = str(self.source) if isinstance(self.source, Path) else self.id
        # A file name may have bytes that are no characters, which no report can be written with.
        object.__setattr__(self, "image_id", _writable(self.image_id or own))
        object.__setattr__(self, "id", _writable(self.id))

    @property
    def image(self) -> Image.Image:
        """The image, upright RGB, read anew.

        Raises:
            ImageError: it cannot be read.
        """
        return read_image(self.source)

    @property
    def ignored(self) -> Mask | None:
        """Bool ``[H, W]``, what no metric should count; None where the truth is complete.

        Put NaN there into a heat map: the metrics leave NaN out.
        """
        return self.open_parts() if self.open_parts else None


class Dataset(Sequence[Sample]):
    """Samples in a fixed order.

    Samples are given by number; nothing but the list of them is held, and nothing is ever
    fetched.

    Attributes:
        name: of its kind.
        classes: all labels, distinct, in the order of their numbers.
        names: for each label the words that stand for it in a prompt; not always distinct.
        template: of the prompts, with ``{}`` for the name.
    """

    name: ClassVar[str]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    template: str = TEMPLATE

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Describe the sample of this number, 0 to ``len(self) - 1``."""

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        """Describe one sample, or several for a slice."""
        if isinstance(index, slice):
            return [self.sample(i) for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.sample(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        """Describe the samples one after the other."""
        return (self.sample(i) for i in range(len(self)))

    def number_of(self, label: str) -> int:
        """Return the place of a label among the classes.

        Raises:
            InputError: it is none of them.
        """
        if label not in self._numbers:
            raise InputError(f"{label!r} is none of the {len(self.classes)} classes of {self.name}")
        return self._numbers[label]

    def prompt_of(self, label: str) -> str:
        """Write the text that stands for a class, in any image.

        Raises:
            InputError: the label is none of the classes.
        """
        return filled_in(self.template, [self.names[self.number_of(label)]])[0]

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        """For each class the texts whose mean stands for it in zero-shot classification."""
        return tuple((self.prompt_of(label),) for label in self.classes)

    def has_masks(self) -> bool:
        """Say whether any sample has masks; by default one of the first is looked for."""
        found = (sample_or_error(self, index) for index in range(len(self)))
        return any(
            isinstance(one, Sample) and one.masks is not None
            for one in islice(found, _LOOKED_AT_FOR_MASKS)
        )

    def contents(self) -> Any:
        """Say, in JSON's types, by what two datasets of one kind with one name differ.

        Whoever keeps results of a dataset compares it, so that results of another one are not
        mixed in. It covers everything that :meth:`state_of` does not say of single samples. None
        by default: for a kind of which there is only one.
        """
        return None

    def state_of(self, index: int) -> Any:
        """Say, in JSON's types, by what a sample differs from others and from its earlier self.

        Kept results of a sample are valid as long as this stays the same, whatever becomes of
        the other samples. It must not read the image. None by default: for datasets whose samples
        are known by their number.
        """
        del index
        return None

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {label: number for number, label in enumerate(self.classes)}


class Subset(Dataset):
    """Some samples of a dataset, drawn at random but always the same for the same seed."""

    def __init__(self, dataset: Dataset, limit: int, seed: int = 0) -> None:
        """Draw ``limit`` samples without repetition (all, if there are fewer), in their order."""
        if limit < 1:
            raise InputError(f"limit={limit}; give at least 1")
        self.dataset, self.classes, self.names = dataset, dataset.classes, dataset.names
        drawn = np.random.default_rng((seed, 5)).permutation(len(dataset))[:limit]
        self.numbers: list[int] = np.sort(drawn).tolist()

    name = "drawn"

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.numbers)

    def sample(self, index: int) -> Sample:
        """Describe the sample that was drawn in this place."""
        return self.dataset.sample(self.numbers[index])

    def prompt_of(self, label: str) -> str:
        """Write the text of a class as the whole dataset does."""
        return self.dataset.prompt_of(label)

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        """The texts of the whole dataset's classes."""
        return self.dataset.class_prompts

    def has_masks(self) -> bool:
        """Say it of the whole dataset, so that it does not depend on what was drawn."""
        return self.dataset.has_masks()

    def contents(self) -> Any:
        """Say what the whole dataset says, and which samples were drawn."""
        return [self.dataset.contents(), self.numbers]

    def state_of(self, index: int) -> Any:
        """Say what the whole dataset says of this sample."""
        return self.dataset.state_of(self.numbers[index])


def base_dataset(dataset: Dataset) -> Dataset:
    """The dataset from which samples were drawn."""
    return base_dataset(dataset.dataset) if isinstance(dataset, Subset) else dataset


def numbers_of(dataset: Dataset) -> list[int]:
    """Each sample's number in the whole dataset, so that more can be drawn later."""
    if not isinstance(dataset, Subset):
        return list(range(len(dataset)))
    below = numbers_of(dataset.dataset)
    return [below[number] for number in dataset.numbers]


def keys_of(dataset: Dataset) -> list[str]:
    """For each sample a key that stays the same until the sample itself changes."""
    states = (dataset.state_of(index) for index in range(len(dataset)))
    return [
        str(number) if state is None else digest(state)
        for number, state in zip(numbers_of(dataset), states, strict=True)
    ]


def sample_or_error(dataset: Dataset, index: int) -> Sample | InputError:
    """Describe a sample, or say what is wrong with it."""
    try:
        return dataset[index]
    except InputError as error:
        return error


def same_size(mask: Mask, height: int, width: int, of: str = "the mask") -> Mask:
    """Check that a mask has the size of its image.

    Raises:
        InputError: it has another.
    """
    if mask.shape != (height, width):
        raise InputError(
            f"{of} has {'x'.join(map(str, mask.shape[::-1]))} pixels and its image "
            f"{width}x{height}; give a mask of the same size"
        )
    return mask


def _writable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def filled_in(template: str, names: Sequence[str]) -> tuple[str, ...]:
    """Put each name into a template.

    Raises:
        InputError: the template has no ``{}``.

    Example:
        >>> filled_in("a photo of a {}.", ["dog"])
        ('a photo of a dog.',)
    """
    if "{}" not in template:
        raise InputError(f"template {template!r} has no {{}} for the name")
    return tuple(template.replace("{}", name) for name in names)
