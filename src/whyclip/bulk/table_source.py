"""Tables with a column of images: CSV, Parquet, and Hugging Face datasets on disk."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyclip.bulk.file_source import printable
from whyclip.bulk.remote import RemoteImage, check_address, is_remote, read_remote
from whyclip.bulk.source import Item, Source
from whyclip.datasets.annotation_files import digest, file_at
from whyclip.datasets.tables import inside, read_table, shown
from whyclip.errors import InputError, OptionError, reason

BOX = ("left", "top", "right", "bottom")
NO_IMAGE = "the row names no image"
NO_PROMPT = "the row has no prompt"


@dataclass(frozen=True)
class Columns:
    """Names of columns.

    Attributes:
        image: column of paths, addresses, or encoded images.
        prompts: column of each image's prompts, a string or a list; None if all images share them.
    """

    image: str = "image"
    prompts: str | None = None


class TableSource(Source):
    """Rows with an image, and optionally prompts and a box (left, top, right, bottom).

    Args:
        name: as the user wrote it.
        present: columns of the table.
        columns: columns to read.
        root: folder, or address that ends in ``/``, to which names are relative.
        outside: whether rows may name addresses, and files outside the folder.

    Raises:
        OptionError: a column is missing.
    """

    def __init__(
        self, name: str, present: list[str], columns: Columns, root: Path | str, outside: bool
    ) -> None:
        for column in (columns.image, columns.prompts):
            if column is not None and column not in present:
                raise OptionError(f"{name} has no column {column!r}; it has {sorted(present)!r}")
        self.name, self.columns, self.root, self.outside = name, columns, root, outside
        self.boxes = all(side in present for side in BOX)
        used = (columns.image, columns.prompts, *(BOX if self.boxes else ()))
        self.used = [column for column in used if column is not None]

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """List the rows as mappings from column name to cell."""
        raise NotImplementedError

    def items(self) -> Iterator[Item]:
        """List the rows."""
        for number, row in enumerate(self.rows()):
            cell = row.get(self.columns.image)
            named = cell.get("path") if isinstance(cell, Mapping) else cell
            id = printable(named) if isinstance(named, str) and named else f"row {number}"
            box = _box(row) if self.boxes else None
            try:
                image, prompts = self._image(cell), self._prompts(row)
            except InputError as error:
                yield Item(number, id, None, fault=str(error))
                continue
            yield Item(number, id, image, prompts, box=box)

    def _image(self, cell: Any) -> Any:
        if isinstance(cell, Mapping):
            cell = cell.get("bytes") or cell.get("path")
        if isinstance(cell, bytes) and cell:
            return cell
        if not isinstance(cell, str) or not cell.strip():
            raise InputError(NO_IMAGE)
        name = cell.strip()
        if is_remote(name):
            if not self.outside:
                raise InputError(f"names the address {shown(name)}; allow it with --outside")
            return RemoteImage(check_address(name))
        if isinstance(self.root, str):
            if ".." in name.split("/") or name.startswith("/"):
                raise InputError(f"names {shown(name)}, outside the table's folder")
            return RemoteImage(self.root + name)
        return inside(self.root, name, self.name, outside=self.outside)

    def _prompts(self, row: Mapping[str, Any]) -> tuple[str, ...] | None:
        if self.columns.prompts is None:
            return None
        cell = row.get(self.columns.prompts)
        listed = cell if isinstance(cell, (list, tuple)) else [cell]
        prompts = tuple(text.strip() for text in listed if isinstance(text, str) and text.strip())
        if not prompts:
            raise InputError(NO_PROMPT)
        return tuple(map(printable, prompts))


def _box(row: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    try:
        left, top, right, bottom = (float(row[side]) for side in BOX)
    except (TypeError, ValueError):
        return None
    return (left, top, right, bottom) if right > left and bottom > top else None


def folder_of(name: str) -> Path | str:
    """The folder to which a table's names are relative."""
    return name.rpartition("/")[0] + "/" if is_remote(name) else Path(name).parent


class CsvSource(TableSource):
    """A CSV file in UTF-8, on this machine or at an address."""

    def __init__(self, name: str, columns: Columns, outside: bool) -> None:
        if is_remote(name):
            content = read_remote(name)
            try:
                reader = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
                self.table = [dict(row) for row in reader]
            except (UnicodeDecodeError, csv.Error) as error:
                raise InputError(f"{shown(name)} cannot be read as CSV: {reason(error)}") from None
            present = list(reader.fieldnames or ())
        else:
            path = file_at(name, "a CSV file with a column of images")
            content = path.read_bytes()
            present, rows = read_table(path)
            self.table = [row for _, row in rows]
        self.digits = digest(content)
        self.length: int = len(self.table)
        super().__init__(name, present, columns, folder_of(name), outside)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """List the rows."""
        return iter(self.table)

    def contents(self) -> str:
        """Digest of the file."""
        return self.digits


class ParquetSource(TableSource):
    """A Parquet file, on this machine or at an address, read one row group at a time."""

    def __init__(self, name: str, columns: Columns, outside: bool) -> None:
        from pyarrow import parquet

        place: Any = io.BytesIO(read_remote(name)) if is_remote(name) else file_at(name, "Parquet")
        try:
            self.file = parquet.ParquetFile(place)
        except (OSError, ValueError) as error:
            raise InputError(f"{shown(name)} cannot be read as Parquet: {reason(error)}") from None
        present = list(self.file.schema_arrow.names)
        super().__init__(name, present, columns, folder_of(name), outside)
        self.length: int = self.file.metadata.num_rows

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Read the rows."""
        for batch in self.file.iter_batches(256, columns=self.used):
            yield from batch.to_pylist()

    def contents(self) -> str:
        """Digest of the file's schema, and of the size and number of rows of its row groups."""
        groups = (self.file.metadata.row_group(i) for i in range(self.file.num_row_groups))
        sizes = [[group.num_rows, group.total_byte_size] for group in groups]
        return digest([str(self.file.schema_arrow), sizes])


class HfSource(TableSource):
    """A split of a dataset that ``Dataset.save_to_disk`` wrote."""

    def __init__(self, rest: str, columns: Columns, outside: bool) -> None:
        from whyclip.datasets.huggingface import rows_at
        from whyclip.finetuning.table_captions import undecoded

        rows, folder = rows_at(rest)
        super().__init__(f"hf:{rest}", list(rows.column_names), columns, folder, outside)
        self.table = undecoded(rows.select_columns(self.used))
        self.length: int = len(rows)

    def rows(self) -> Iterator[Mapping[str, Any]]:
        """Read the rows."""
        return iter(self.table)

    def contents(self) -> str:
        """Number of rows and the library's fingerprint of them."""
        return f"{self.length} {self.table._fingerprint}"
