"""Type of a dataset kind: its name on the command line, and the function that opens it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from whyclip.datasets.dataset import Dataset


@dataclass(frozen=True)
class DatasetKind:
    """A kind of dataset.

    Attributes:
        form: description of the part after the colon in ``name:form``.
        layout: the expected files.
        has_masks: whether samples can have masks.
        open: function from the part after the colon to the dataset.
        names_files: whether a table of the dataset names its files. If so, ``open`` has the
            argument ``outside``: whether they may be outside the dataset's folder.
    """

    name: str
    title: str
    source: str
    form: str
    layout: str
    has_masks: bool
    open: Callable[..., Dataset]
    names_files: bool = False
