"""whyclip's own kinds of datasets as a source, with their prompts and masks."""

from __future__ import annotations

from collections.abc import Iterator

from whyclip.bulk.file_source import printable
from whyclip.bulk.source import Item, Loaded, Source
from whyclip.datasets import open_dataset
from whyclip.datasets.annotation_files import digest
from whyclip.studies.identity import dataset_identity


class DatasetSource(Source):
    """Samples of a dataset, for example ``scenes:200`` or ``coco-panoptic:FOLDER``.

    Args:
        spec: kind and place, as `whyclip.open_dataset` takes it.
        own_prompts: whether to use the prompts of each sample's labels.
        outside: whether a table of the dataset may name files outside its folder.
    """

    def __init__(self, spec: str, own_prompts: bool, outside: bool) -> None:
        self.name, self.own_prompts = spec, own_prompts
        self.dataset = open_dataset(spec, outside=outside)
        self.length: int = len(self.dataset)

    def items(self) -> Iterator[Item]:
        """List the samples by number; the workers load them, because that may decode an image."""
        return (Item(number, f"{self.name}#{number}", number) for number in range(self.length))

    def contents(self) -> str:
        """Digest of everything that determines the samples."""
        return digest(dataset_identity(self.dataset, self.name))

    def load(self, item: Item) -> Loaded:
        """Load one sample."""
        sample = self.dataset[item.image]
        if not self.own_prompts:
            return Loaded(sample.source)
        masks = sample.masks
        return Loaded(
            sample.source,
            tuple(map(printable, sample.prompts)),
            tuple(masks[label] if masks and label in masks else None for label in sample.labels),
        )
