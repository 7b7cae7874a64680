"""What a kind of dataset is: its name on the command line, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whyclip.datasets.dataset import Dataset


@dataclass(frozen=True)
class DatasetKind:
    """A kind of dataset.

    Attributes:
        form: what follows the colon in ``name:form``.
        layout: what is expected there.
        has_masks: whether places are known, or may be.
        open: from what follows the colon to the dataset.
        names_files: whether a table of the dataset names its files; ``open`` then takes
            ``outside``, whether they may lie outside the dataset's folder.
    """

    name: str
    title: str
    source: str
    form: str
    layout: str
    has_masks: bool
    open: Callable[..., Dataset]
    names_files: bool = False
