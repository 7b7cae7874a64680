"""The type of a dataset kind: its name on the command line, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whyclip.datasets.dataset import Dataset


@dataclass(frozen=True)
class DatasetKind:
    """A kind of dataset.

    Attributes:
        form: the part after the colon in ``name:form``.
        layout: the expected files.
        has_masks: whether there are masks, or may be.
        open: function from the part after the colon to the dataset.
        names_files: whether a table of the dataset names its files; ``open`` then takes
            ``outside``, whether they may be outside the dataset's folder.
    """

    name: str
    title: str
    source: str
    form: str
    layout: str
    has_masks: bool
    open: Callable[..., Dataset]
    names_files: bool = False
