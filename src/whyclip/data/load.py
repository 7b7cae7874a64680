"""Every kind of dataset, gathered from the files of this folder, and opened by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import whyclip.data
from whyclip.data.kind import DatasetKind
from whyclip.data.sample import Dataset, Drawn
from whyclip.errors import unknown
from whyclip.gather import gather


@lru_cache(maxsize=1)
def dataset_kinds() -> Mapping[str, DatasetKind]:
    """Gather what the modules here have as ``KINDS``; nothing else needs to be told of them."""
    return gather(whyclip.data.__name__, whyclip.data.__path__, "KINDS")


def open_dataset(
    spec: str, *, limit: int | None = None, seed: int = 0, outside: bool = False
) -> Dataset:
    """Open a dataset by its kind and place, such as ``"scenes:200"`` or ``"imagenet:FOLDER"``.

    Args:
        spec: ``name`` or ``name:rest``; see :func:`dataset_kinds` for what the rest is.
        limit: draw as many samples at random.
        seed: of that draw.
        outside: whether a table of the dataset may name files outside the dataset's folder.

    Raises:
        InputError: nothing usable is there; nothing is ever downloaded.
        OptionError: the kind is not known.

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
    return dataset if limit is None else Drawn(dataset, limit, seed)
