"""Read tables and lists of files, with one-line errors and a check of paths."""

from __future__ import annotations

import csv
import io
import os
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from pathlib import Path

from whyclip.errors import InputError

_SHOWN = 80


def shown(value: object) -> str:
    """Quote at most 80 characters of a value, without control characters or line ends."""
    text = repr(str(value))
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 2]}…{text[0]}"


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark.

    Raises:
        InputError: the file cannot be read, or is in another encoding.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{shown(path)} cannot be read: {reason}") from None
    wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{shown(path.name)}, line {line}: byte {content[error.start]:#04x} is not "
            f"{'UTF-16' if wide else 'UTF-8'}; save the file as UTF-8"
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"{shown(path.name)}, line {line}: a NUL character; save the file as UTF-8 text"
        )
    return text


def read_table(path: Path) -> tuple[list[str], Iterator[tuple[int, dict[str, str]]]]:
    """Read a CSV file with a header.

    Returns:
        The columns, and for each row its line number and its stripped cells by column. Cells
        without a column are dropped, and missing cells are empty.

    Raises:
        InputError: the file cannot be read as CSV, has another delimiter, or repeats a column.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""))
    try:
        columns = list(reader.fieldnames or ())
    except csv.Error as error:
        raise _not_csv(path, 1, error) from None
    _check_header(path, columns)

    def rows() -> Iterator[tuple[int, dict[str, str]]]:
        try:
            for cells in reader:
                yield reader.line_num, {name: (cells.get(name) or "").strip() for name in columns}
        except csv.Error as error:
            raise _not_csv(path, reader.line_num + 1, error) from None

    return columns, rows()


def _check_header(path: Path, columns: list[str]) -> None:
    """Raise an error for other delimiters and for repeated columns."""
    for delimiter in ";\t|" if len(columns) == 1 else "":
        if delimiter in columns[0]:
            raise InputError(
                f"{shown(path.name)}: the columns of {shown(columns[0])} are separated by "
                f"{delimiter!r}; separate them by commas"
            )
    for name in columns:
        if columns.count(name) > 1 and name:
            raise InputError(
                f"{shown(path.name)} has {columns.count(name)} columns {shown(name)}; keep one"
            )


def _not_csv(path: Path, line: int, error: csv.Error) -> InputError:
    return InputError(
        f"{shown(path.name)}, near line {line}: {error}; check for a quotation mark that is not "
        "closed"
    )


def inside(root: Path, name: str, table: Path | str, *, outside: bool = False) -> Path:
    """Find the path of a file that a table names, relative to a folder.

    Symbolic links within the folder are followed.

    Args:
        root: the folder.
        name: file name in the table.
        table: the table, for error messages.
        outside: whether the name may be absolute or lead out of the folder.

    Raises:
        InputError: it is outside the folder without permission, or is not a valid name.
    """
    if "\0" in name or _longest_part(name) > 255:
        raise InputError(
            f"{shown(Path(table).name)} names {shown(name)}; give a file name of at most 255 bytes"
        )
    path = root / name
    if outside:
        return path
    top = os.path.abspath(root)  # noqa: PTH100  resolve() would follow links
    absolute = os.path.abspath(path)  # noqa: PTH100
    if not Path(absolute).is_relative_to(top):
        raise InputError(
            f"{shown(Path(table).name)} names {shown(name)}, outside its folder; move the file "
            "there, or allow it with outside=True (--outside)"
        )
    return path


def _longest_part(name: str) -> int:
    return max(len(part.encode("utf-8", "surrogatepass")) for part in name.split("/"))
