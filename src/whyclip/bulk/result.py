"""Read the folder of a bulk run: lazily as an Arrow dataset, and row by row as explanations."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyclip.errors import OutputError, quoted
from whyclip.explanation import Explanation
from whyclip.files import path_of

if TYPE_CHECKING:
    import pyarrow.dataset


class BulkResult:
    """The rows of a bulk run, read on access.

    Args:
        folder: ``--out`` of the run.

    Raises:
        OutputError: it is not the folder of a bulk run, or pyarrow is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        try:
            from whyclip.bulk.folder import Folder
        except ImportError:
            raise OutputError("bulk runs need pyarrow: pip install 'whyclip[bulk]'") from None
        self.folder = Folder(path_of(folder))
        manifest = self.folder.manifest()
        self.identity: dict[str, Any] = manifest["identity"]
        """Everything that determined the rows."""
        self.run: dict[str, Any] = manifest["run"]
        self._held: tuple[int, Any] = (-1, None)

    @cached_property
    def files(self) -> list[Path]:
        """Parquet files, in the order of the source."""
        return [self.folder.part(number) for number in sorted(self.folder.numbers())]

    @property
    def complete(self) -> bool:
        """Whether every image of the source has its rows."""
        total = self.folder.total()
        return total is not None and len(self.files) == total["parts"]

    @property
    def dataset(self) -> pyarrow.dataset.Dataset:
        """All rows as an Arrow dataset, read on access."""
        from pyarrow import dataset

        if not self.files:
            raise OutputError(f"{quoted(str(self.folder.path))} has no part yet")
        return dataset.dataset([str(file) for file in self.files], format="parquet")

    @cached_property
    def _ends(self) -> list[int]:
        """For each file the number of rows up to its end."""
        from pyarrow import parquet

        return list(accumulate(parquet.read_metadata(file).num_rows for file in self.files))

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._ends[-1] if self._ends else 0

    def row(self, index: int) -> dict[str, Any]:
        """Read one row, in the order of the source.

        Raises:
            IndexError: there is no such row.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        file = bisect_right(self._ends, index)
        start = self._ends[file - 1] if file else 0
        from whyclip.bulk.folder import read_part

        if self._held[0] != file:
            # Rows are mostly read in order, so consecutive ones are in one part.
            self._held = (file, read_part(self.files[file]))
        rows: list[dict[str, Any]] = self._held[1].slice(index - start, 1).to_pylist()
        return rows[0]

    def explanation(self, row: int | dict[str, Any]) -> Explanation:
        """Rebuild the explanation of a row: one image and one prompt, without the image's pixels.

        Args:
            row: number of the row, or its cells as returned by ``to_pylist``.

        Raises:
            OutputError: the row is an image that could not be read.
            IndexError: there is no such row.
        """
        from whyclip.bulk.schema import to_explanation

        return to_explanation(row if isinstance(row, dict) else self.row(row), self.run)

    def __getitem__(self, index: int) -> Explanation:
        """The same as :meth:`explanation`."""
        return self.explanation(index)

    def errors(self) -> Iterator[tuple[str, str]]:
        """List the ids of images with an error, and the errors."""
        import pyarrow.compute as pc

        table = self.dataset.to_table(["id", "error"], filter=pc.field("error").is_valid())
        yield from zip(table["id"].to_pylist(), table["error"].to_pylist(), strict=True)

    def __repr__(self) -> str:
        state = "complete" if self.complete else "incomplete"
        return f"BulkResult({str(self.folder.path)!r}, {len(self)} rows, {state})"


def read_bulk(folder: str | Path) -> BulkResult:
    """Open the results of a bulk run.

    Args:
        folder: ``--out`` of the run.

    Returns:
        Rows as an Arrow dataset (``.dataset``), and as explanations (``.explanation(row)``).

    Raises:
        OutputError: it is not the folder of a bulk run, or pyarrow is not installed.
    """
    return BulkResult(folder)
