"""Caption data in tables: CSV, Parquet, and Hugging Face datasets on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from whyclip.datasets.annotation_files import file_at
from whyclip.datasets.tables import inside, read_table, shown
from whyclip.errors import InputError, reason
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import (
    NO_IMAGE,
    UNREADABLE,
    Indexed,
    Skipped,
    UnusableError,
    caption_of,
)
from whyclip.finetuning.decode import decode_image, decode_mask

FORM = "a table with the columns image and caption, and optionally mask"


class TableCaptions(Indexed):
    """Rows with an image, a caption and optionally a mask of pixels the model must not use.

    An image or mask cell is a path relative to the table, encoded bytes, or a mapping with
    ``bytes`` or ``path``.

    Args:
        name: kind and place, for messages.
        root: folder to which paths are relative.
        count: number of rows.
        keys: identifies each row.
        columns: names of the columns ``image``, ``caption`` and ``mask``.
        fraction: share of the rows.
        seed: of the choice of that share.
        outside: whether rows may name files outside the folder.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        count: int,
        *,
        keys: Callable[[int], str],
        columns: Mapping[str, str],
        fraction: float,
        seed: int,
        outside: bool,
    ) -> None:
        self.root, self.columns, self.outside = root, columns, outside
        super().__init__(name, count, keys=keys, fraction=fraction, seed=seed)

    def row(self, item: int) -> Mapping[str, Any]:
        """Return the cells of one row by column name."""
        raise NotImplementedError

    def read(self, item: int) -> Example:
        """Decode one row."""
        id = f"row {item}"
        try:
            row = self.row(item)
        except Exception as error:  # noqa: BLE001 - a decoder may raise anything on damaged bytes
            raise UnusableError(Skipped(id, UNREADABLE, reason(error))) from None
        caption = caption_of(row.get(self.columns["caption"]), id)
        source = self._source(row.get(self.columns["image"]), id)
        if source is None:
            raise UnusableError(Skipped(id, NO_IMAGE))
        image = decode_image(source, id)
        drawn = self._source(row.get(self.columns["mask"]), id)
        hidden = None if drawn is None else decode_mask(drawn, image, id)
        return Example(id, image, caption, hidden=hidden)

    def _source(self, cell: Any, id: str) -> bytes | Path | Image.Image | None:
        if isinstance(cell, Mapping):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, (bytes, Image.Image)):
            return cell or None if isinstance(cell, bytes) else cell
        if not isinstance(cell, str) or not cell.strip():
            return None
        try:
            return inside(self.root, cell.strip(), self.name, outside=self.outside)
        except InputError as error:
            raise UnusableError(Skipped(id, UNREADABLE, str(error))) from None


class CsvCaptions(TableCaptions):
    """Rows of a CSV file in UTF-8.

    Raises:
        InputError: a column is missing, there is no row, or a row names a file outside the folder.
    """

    def __init__(self, file: str, *, columns: Mapping[str, str], **options: Any) -> None:
        path = Path(file)
        root = file_at(path, f"a CSV file: {FORM}").parent
        present, rows = read_table(path)
        check_columns(present, columns, shown(path))
        self.rows = [row for _, row in rows]
        self.may_be_marked = any(row.get(columns["mask"]) for row in self.rows)
        # Checked before the run begins.
        for row in self.rows if not options.get("outside") else ():
            for column in (columns["image"], columns["mask"]):
                inside(root, row.get(column, ""), path)
        super().__init__(
            f"csv:{file}", root, len(self.rows), keys=self._key, columns=columns, **options
        )

    def _key(self, item: int) -> str:
        row = self.rows[item]
        return f"{row[self.columns['image']]}\0{row[self.columns['caption']]}"

    def row(self, item: int) -> Mapping[str, Any]:
        """Return one row."""
        return self.rows[item]


class ParquetCaptions(TableCaptions):
    """Rows of a Parquet file, held in memory as Arrow columns.

    Raises:
        InputError: pyarrow is missing, the file cannot be read, or a column is missing.
    """

    def __init__(self, file: str, *, columns: Mapping[str, str], **options: Any) -> None:
        path = file_at(file, f"a Parquet file: {FORM}")
        try:
            from pyarrow import parquet
        except ImportError:
            raise InputError(
                f"parquet:{file} needs pyarrow: pip install 'whyclip[pandas]'"
            ) from None
        try:
            present = list(parquet.read_schema(path).names)
            check_columns(present, columns, shown(path))
            self.may_be_marked = columns["mask"] in present
            self.table = parquet.read_table(
                path, columns=[name for name in columns.values() if name in present]
            )
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{shown(path)} cannot be read as Parquet: {reason(error)}") from None
        super().__init__(
            f"parquet:{file}",
            path.parent,
            self.table.num_rows,
            keys=str,
            columns=columns,
            **options,
        )

    def row(self, item: int) -> Mapping[str, Any]:
        """Convert one row."""
        cells: list[dict[str, Any]] = self.table.slice(item, 1).to_pylist()
        return cells[0]


class HfCaptions(TableCaptions):
    """Rows of a folder written by ``Dataset.save_to_disk``.

    Raises:
        InputError: the folder, its split or a column is missing.
    """

    def __init__(self, rest: str, *, columns: Mapping[str, str], **options: Any) -> None:
        from whyclip.datasets.huggingface import rows_at

        rows, folder = rows_at(rest)
        check_columns(rows.column_names, columns, f"hf:{rest}")
        self.may_be_marked = columns["mask"] in rows.column_names
        used = [name for name in columns.values() if name in rows.column_names]
        self.rows = undecoded(rows.select_columns(used))
        super().__init__(f"hf:{rest}", folder, len(rows), keys=str, columns=columns, **options)

    def row(self, item: int) -> Mapping[str, Any]:
        """Return one row, its images encoded."""
        cells: Mapping[str, Any] = self.rows[item]
        return cells


def undecoded(rows: Any) -> Any:
    """Turn off the decoding of image columns, so that a damaged image affects only its row."""
    from datasets import Image as ImageColumn

    for name, feature in rows.features.items():
        if isinstance(feature, ImageColumn):
            rows = rows.cast_column(name, ImageColumn(decode=False))
    return rows


def check_columns(present: list[str], columns: Mapping[str, str], name: str) -> None:
    """Check that the columns of images and captions exist.

    Raises:
        InputError: one is missing.
    """
    for kind in ("image", "caption"):
        column = columns[kind]
        if not present:
            raise InputError(f"{name} is empty; give {FORM}")
        if column not in present:
            raise InputError(
                f"{name} has no column {column!r}, only {sorted(present)!r:.200}; give {FORM}"
            )
