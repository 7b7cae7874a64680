"""Base classes of datasets and samples, which are read on access."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np
from PIL import Image

from whyclip.datasets.annotation_files import Mask, digest
from whyclip.errors import InputError
from whyclip.inputs import read_image

if TYPE_CHECKING:
    from whyclip.scenes.interventions import Interventions

TEMPLATE = "a photo of a {}."
_LOOKED_AT_FOR_MASKS = 50


class Masks(Mapping[str, Mask]):
    """Masks of the labels of one image, bool ``[H, W]`` each, decoded on first access."""

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
    """One image with its labels.

    Attributes:
        id: unique and stable name.
        source: the image, or its path.
        labels: classes of the objects in the image.
        prompts: prompt to explain, by label.
        masks: mask by label, bool ``[H, W]``; None if there are no masks.
        open_parts: function that returns the mask of unlabelled pixels, if the dataset has any.
        image_id: id shared by samples of one image. Default: the path, or else the sample's id.
        interventions: the same image and prompts with one change each; None if unavailable.
    """

    id: str
    source: Path | Image.Image
    labels: tuple[str, ...]
    prompts: tuple[str, ...]
    masks: Mapping[str, Mask] | None = None
    open_parts: Callable[[], Mask] | None = None
    image_id: str = ""
    interventions: Interventions | None = None

    def __post_init__(self) -> None:
        """Set the default image id."""
        default = str(self.source) if isinstance(self.source, Path) else self.id
        # File names may contain bytes that are invalid in reports.
        object.__setattr__(self, "image_id", _writable(self.image_id or default))
        object.__setattr__(self, "id", _writable(self.id))

    @property
    def image(self) -> Image.Image:
        """The image, upright RGB, read at each access.

        Raises:
            ImageError: it cannot be read.
        """
        return read_image(self.source)

    @property
    def ignored(self) -> Mask | None:
        """Bool ``[H, W]``, pixels that metrics must ignore; None if there are none.

        Metrics ignore pixels where a heat map is NaN.
        """
        return self.open_parts() if self.open_parts else None


class Dataset(Sequence[Sample]):
    """Samples in a fixed order, accessed by index.

    Only the list of samples is in memory. Nothing is downloaded.

    Attributes:
        name: name of the kind of dataset.
        classes: all distinct labels, in the order of their indices.
        names: words for each label in a prompt; not always distinct.
        template: template of the prompts, with ``{}`` for the name.
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
        """Describe a sample by index, 0 to ``len(self) - 1``."""

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
        """Iterate over the samples."""
        return (self.sample(i) for i in range(len(self)))

    def number_of(self, label: str) -> int:
        """Return the index of a label among the classes.

        Raises:
            InputError: the label is unknown.
        """
        if label not in self._numbers:
            raise InputError(
                f"{label!r} is not one of the {len(self.classes)} classes of {self.name}"
            )
        return self._numbers[label]

    def prompt_of(self, label: str) -> str:
        """Write the prompt of a class.

        Raises:
            InputError: the label is unknown.
        """
        return filled_in(self.template, [self.names[self.number_of(label)]])[0]

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        """Prompts of each class; their mean embedding is the class embedding for classification."""
        return tuple((self.prompt_of(label),) for label in self.classes)

    def has_masks(self) -> bool:
        """Whether any sample has masks; by default the first samples are checked."""
        first = range(min(len(self), _LOOKED_AT_FOR_MASKS))
        samples = (sample_or_error(self, index) for index in first)
        return any(isinstance(sample, Sample) and sample.masks is not None for sample in samples)

    def has_interventions(self) -> bool:
        """Whether samples can be redrawn with one change, and without any object."""
        return False

    def contents(self) -> Any:
        """Describe, in JSON types, how datasets of one kind and name differ.

        Stored results are compared with it. It covers everything except single samples
        (:meth:`state_of`). Empty by default, for kinds with only one dataset.
        """
        return None

    def state_of(self, index: int) -> Any:
        """Describe, in JSON types, the identity and state of a sample.

        Stored results of a sample are valid as long as this is unchanged. It must not read the
        image. Empty by default, for datasets whose samples are identified by index.
        """
        del index
        return None

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {label: number for number, label in enumerate(self.classes)}


class Subset(Dataset):
    """Random subset of a dataset, determined by a seed."""

    def __init__(self, dataset: Dataset, limit: int, seed: int = 0) -> None:
        """Draw ``limit`` samples without replacement (all if there are fewer); keep their order."""
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
        """Describe the drawn sample at an index."""
        return self.dataset.sample(self.numbers[index])

    def prompt_of(self, label: str) -> str:
        """Write the prompt of a class as the whole dataset does."""
        return self.dataset.prompt_of(label)

    @property
    def class_prompts(self) -> tuple[tuple[str, ...], ...]:
        """Prompts of the whole dataset's classes."""
        return self.dataset.class_prompts

    def has_masks(self) -> bool:
        """Whether the whole dataset has masks, independent of the draw."""
        return self.dataset.has_masks()

    def has_interventions(self) -> bool:
        """Whether samples of the whole dataset can be redrawn with one change."""
        return self.dataset.has_interventions()

    def contents(self) -> Any:
        """Describe the whole dataset and the choice of samples."""
        return [self.dataset.contents(), self.numbers]

    def state_of(self, index: int) -> Any:
        """Describe the sample as the whole dataset does."""
        return self.dataset.state_of(self.numbers[index])


def base_dataset(dataset: Dataset) -> Dataset:
    """The dataset from which samples were drawn."""
    return base_dataset(dataset.dataset) if isinstance(dataset, Subset) else dataset


def numbers_of(dataset: Dataset) -> list[int]:
    """Index of each sample in the whole dataset, so that more can be drawn later."""
    if not isinstance(dataset, Subset):
        return list(range(len(dataset)))
    below = numbers_of(dataset.dataset)
    return [below[number] for number in dataset.numbers]


def keys_of(dataset: Dataset) -> list[str]:
    """Keys of the samples; a key changes only with its sample."""
    states = (dataset.state_of(index) for index in range(len(dataset)))
    return [
        str(number) if state is None else digest(state)
        for number, state in zip(numbers_of(dataset), states, strict=True)
    ]


def sample_or_error(dataset: Dataset, index: int) -> Sample | InputError:
    """Describe a sample, or return its error."""
    try:
        return dataset[index]
    except InputError as error:
        return error


def same_size(mask: Mask, height: int, width: int, of: str = "the mask") -> Mask:
    """Check that a mask has the size of its image.

    Raises:
        InputError: it does not.
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
    """Fill a template with each name.

    Raises:
        InputError: the template has no ``{}``.

    Example:
        >>> filled_in("a photo of a {}.", ["dog"])
        ('a photo of a dog.',)
    """
    if "{}" not in template:
        raise InputError(f"template {template!r} has no {{}} for the name")
    return tuple(template.replace("{}", name) for name in names)
