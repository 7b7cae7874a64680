"""Local Hugging Face datasets; requires ``pip install 'whyclip[datasets]'``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from whyclip.datasets.annotation_files import Mask, codes_of, digest, folder_at, nonzero, stamp
from whyclip.datasets.dataset import TEMPLATE, Dataset, Masks, Sample, filled_in
from whyclip.datasets.kind import DatasetKind
from whyclip.datasets.tables import inside, shown
from whyclip.errors import ImageError, InputError


class HfDataset(Dataset):
    """One sample per row of a ``datasets.Dataset``.

    The label is a ``ClassLabel`` or a string, such as a caption; a list of either gives several.
    """

    name = "hf"

    def __init__(
        self,
        rows: Any,
        *,
        image: str = "image",
        label: str = "label",
        mask: str | None = None,
        template: str | None = None,
        root: Path | None = None,
    ) -> None:
        """Check the columns; images are decoded on access.

        Args:
            rows: one split of a ``datasets.Dataset``. Streamed datasets have no indices; save a
                part of one first.
            image: the column of images.
            label: the column of labels or captions.
            mask: the column of masks (images that are not 0 on the object), for single labels.
            template: prompt template. By default, strings are used unchanged, and ``ClassLabel``
                names are inserted into "a photo of a {}.".
            root: folder that must contain the files named by rows without an embedded image; by
                default, they may be anywhere.

        Raises:
            InputError: a column is missing, or the rows are of another kind.
        """
        columns = getattr(rows, "column_names", None)
        if not isinstance(columns, list) or not hasattr(rows, "__len__"):
            raise InputError(
                f"rows of type {type(rows).__name__}; give one split of a datasets.Dataset, "
                "such as load_from_disk(folder)['validation']"
            )
        for column in (image, label, *([mask] if mask else [])):
            if column not in columns:
                raise InputError(f"no column {column!r}; the dataset has {', '.join(columns)}")
        self.rows, self.columns, self.root = rows, (image, label, mask), root
        self.raw = _undecoded(rows, [image, *([mask] if mask else [])])
        feature = rows.features[label]
        # A list of labels has the feature of its elements.
        feature = getattr(feature, "feature", feature)
        names = getattr(feature, "names", None)
        self.template = template or (TEMPLATE if names else "{}")
        self.coded = names is not None
        if names is None:
            names = dict.fromkeys(x for cell in rows[label] for x in _listed(cell))
        self.classes = self.names = tuple(names)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def has_masks(self) -> bool:
        """Whether there is a column of masks."""
        return self.columns[2] is not None

    def contents(self) -> list[Any]:
        """Names of the columns in use."""
        return [self.columns, self.template]

    def state_of(self, index: int) -> list[Any] | None:
        """The row's index and labels, with a hash of its encoded images."""
        if self.raw is None:
            return None
        image, label, mask = self.columns
        row = self.raw[index]
        images = [_state(row[column]) for column in (image, mask) if column]
        return [index, str(row[label]), *images]

    def _row(self, index: int) -> Mapping[str, Any]:
        """Decode one row.

        Raises:
            ImageError: an image is damaged, or names a file that must not be read.
        """
        image, _, mask = self.columns
        for column in (image, mask) if self.raw is not None and self.root else ():
            cell = self.raw[index][column] if column else None
            if cell and cell.get("bytes") is None and cell.get("path"):
                self._check_path(cell["path"], index)
        try:
            row: Mapping[str, Any] = self.rows[index]
        except Exception as error:  # noqa: BLE001  a decoder may raise anything on damaged bytes
            reason = f"{error!s:.80}".partition("\n")[0]
            raise ImageError(f"row {index} cannot be read: {reason}") from None
        return row

    def _check_path(self, path: str, index: int) -> None:
        assert self.root is not None, "a root to stay in"
        if "://" in path:
            raise ImageError(f"row {index} names {shown(path)}; whyclip does not download images")
        inside(self.root, path, f"row {index}")

    def sample(self, index: int) -> Sample:
        """Describe one row."""
        image, label, mask = self.columns
        row = self._row(index)
        source = row[image]
        if not isinstance(source, Image.Image):
            raise InputError(
                f"column {image!r} holds {type(source).__name__}, not images; "
                "cast it with cast_column(name, datasets.Image())"
            )
        labels = tuple(self._label(x, index) for x in _listed(row[label]))

        drawn = row[mask] if mask else None

        def masks() -> Mapping[str, Mask]:
            assert drawn is not None, "only rows with a mask have masks"
            return {labels[0]: nonzero(codes_of(drawn))}

        return Sample(
            id=str(index),
            source=source,
            labels=labels,
            prompts=filled_in(self.template, labels),
            masks=Masks(masks) if drawn is not None else None,
        )

    def _label(self, cell: Any, index: int) -> str:
        if cell is None or (self.coded and not 0 <= cell < len(self.classes)):
            raise InputError(f"row {index} has no label ({cell!r}); is it of a test split?")
        return self.classes[cell] if self.coded else str(cell)


def _undecoded(rows: Any, columns: Sequence[str]) -> Any:
    """Return the rows with images as encoded bytes; None if a column has another type."""
    from datasets import Image as ImageColumn

    if not all(isinstance(rows.features[column], ImageColumn) for column in columns):
        return None
    for column in columns:
        rows = rows.cast_column(column, ImageColumn(decode=False))
    return rows


def _state(cell: Mapping[str, Any] | None) -> Any:
    if cell is None:
        return None
    content, path = cell.get("bytes"), cell.get("path")
    return digest(content) if content is not None else [path, stamp(Path(path or ""))]


def _listed(cell: Any) -> list[Any]:
    return list(cell) if isinstance(cell, (list, tuple)) else [cell]


def rows_at(rest: str) -> tuple[Any, Path]:
    """Open ``FOLDER[#SPLIT]`` as a ``datasets.Dataset``.

    Returns:
        The rows, and their folder.

    Raises:
        InputError: the library, dataset or split is missing.
    """
    place, _, split = rest.partition("#")
    folder = folder_at(place, "a folder written by Dataset.save_to_disk; nothing is downloaded")
    try:
        from datasets import load_from_disk
    except ImportError:
        raise InputError(
            f"hf:{rest} needs the datasets library: pip install 'whyclip[datasets]'"
        ) from None
    try:
        rows = load_from_disk(str(Path(folder)))
    except (OSError, ValueError) as error:
        raise InputError(f"{place!r} was not written by Dataset.save_to_disk: {error}") from None
    if hasattr(rows, "keys"):
        if split not in rows:
            raise InputError(f"{place!r} has splits {', '.join(rows)}; give hf:{place}#SPLIT")
        rows = rows[split]
    return rows, folder


def _open(rest: str, outside: bool = False) -> HfDataset:
    rows, folder = rows_at(rest)
    return HfDataset(rows, root=None if outside else folder)


KINDS = (
    DatasetKind(
        name="hf",
        title="Hugging Face datasets",
        source="a folder of Dataset.save_to_disk",
        form="FOLDER[#SPLIT]",
        layout="columns image and label (a ClassLabel or text)",
        has_masks=False,
        open=_open,
        names_files=True,
    ),
)
