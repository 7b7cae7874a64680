"""Open datasets of every kind by name."""

from __future__ import annotations

from collections.abc import Mapping

from whyclip.datasets.dataset import Dataset, Subset
from whyclip.datasets.kind import DatasetKind
from whyclip.errors import unknown
from whyclip.registry import Registry

KINDS_OF_DATASETS = Registry(
    "dataset", "whyclip.datasets", DatasetKind, "KINDS", group="whyclip.datasets"
)


def dataset_kinds() -> Mapping[str, DatasetKind]:
    """All kinds of datasets by name: built-in, registered, and from other packages."""
    return KINDS_OF_DATASETS


def open_dataset(
    spec: str, *, limit: int | None = None, seed: int = 0, outside: bool = False
) -> Dataset:
    """Open a dataset by its specification, for example ``"scenes:200"``.

    Args:
        spec: ``name`` or ``name:rest``; see :func:`dataset_kinds` for ``rest``.
        limit: number of random samples; all by default.
        seed: random seed of that choice.
        outside: whether a table of the dataset may name files outside the dataset's folder.

    Raises:
        InputError: files are missing or invalid; nothing is downloaded.
        OptionError: unknown kind.

    Example:
        >>> len(open_dataset("scenes:200", limit=5))
        5
    """
    name, _, rest = spec.partition(":")
    kinds = dataset_kinds()
    if name not in kinds:
        raise unknown("dataset", spec, [f"{kind.name}:{kind.form}" for kind in kinds.values()])
    options = {"outside": True} if outside and kinds[name].names_files else {}
    dataset = kinds[name].open(rest, **options)
    return dataset if limit is None else Subset(dataset, limit, seed)
