"""Every kind of dataset, gathered from the files of this folder, and opened by name."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import MappingProxyType

import whyclip.data
from whyclip.data.kind import DatasetKind
from whyclip.data.sample import Dataset, Drawn
from whyclip.errors import unknown


@lru_cache(maxsize=1)
def dataset_kinds() -> Mapping[str, DatasetKind]:
    """Gather what the modules here have as ``KINDS``; nothing else needs to be told of them."""
    names = [found.name for found in iter_modules(whyclip.data.__path__)]
    modules = [import_module(f"whyclip.data.{name}") for name in names]
    kinds = [kind for module in modules for kind in getattr(module, "KINDS", ())]
    return MappingProxyType({kind.name: kind for kind in kinds})


def open_dataset(spec: str, *, limit: int | None = None, seed: int = 0) -> Dataset:
    """Open a dataset by its kind and place, such as ``"scenes:200"`` or ``"imagenet:FOLDER"``.

    Args:
        spec: ``name`` or ``name:rest``; see :func:`dataset_kinds` for what the rest is.
        limit: draw as many samples at random.
        seed: of that draw.

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
    dataset = kinds[name].open(rest)
    return dataset if limit is None else Drawn(dataset, limit, seed)
