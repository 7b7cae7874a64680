"""Your own images: a CSV file with their paths, what to ask, and where the answer is."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyclip.data.files import Mask, file_at, read_mask, stamp
from whyclip.data.kind import DatasetKind
from whyclip.data.sample import TEMPLATE, Dataset, Masks, Sample, filled_in
from whyclip.errors import InputError

COLUMNS = ("image", "label", "prompt", "mask")
FORM = "a CSV file with the columns image, label and/or prompt, and if wished mask"


class Folder(Dataset):
    """A row of a CSV file a sample.

    Columns: ``image``, a path from the CSV's own folder; ``label``, its class; ``prompt``, the text
    to explain, by default the label in a template; ``mask``, an image of the same size that
    is not 0 on the object, or empty. Without labels, the prompts are the classes. Other
    columns are not looked at.
    """

    name = "folder"

    def __init__(self, file: str | Path, *, template: str = TEMPLATE) -> None:
        """Read the rows.

        Args:
            file: the CSV file, or a folder with an ``index.csv``.
            template: of prompts that are not given.

        Raises:
            InputError: a column or a cell is missing.
        """
        path = Path(file) / "index.csv" if Path(file).is_dir() else Path(file)
        self.root = file_at(path, FORM).parent
        with path.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            columns = set(reader.fieldnames or ())
            if "image" not in columns or not columns & {"label", "prompt"}:
                raise InputError(f"{str(path)!r} has columns {sorted(columns)}; give {FORM}")
            self.rows = [_row(row, path, reader.line_num) for row in reader]
        if not self.rows:
            raise InputError(f"{str(path)!r} has no row below its header")
        self.template = template
        asked = {row["label"] or row["prompt"]: bool(row["label"]) for row in self.rows}
        self.classes = self.names = tuple(asked)
        self.labelled = asked

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def prompt_of(self, label: str) -> str:
        """Put a label into the template; a prompt without a label is its own."""
        name = self.names[self.number_of(label)]
        return filled_in(self.template, [name])[0] if self.labelled[name] else name

    def has_masks(self) -> bool:
        """Say whether any row has one."""
        return any(row["mask"] for row in self.rows)

    def contents(self) -> list[list[Any]]:
        """All rows, with sizes and times of their files."""
        files = [[self.root / row[of] for of in ("image", "mask") if row[of]] for row in self.rows]
        return [
            [*row.values(), *map(stamp, own)] for row, own in zip(self.rows, files, strict=True)
        ]

    def sample(self, index: int) -> Sample:
        """Describe one row; its number is part of the id, as an image may have several rows."""
        row = self.rows[index]
        label = row["label"] or row["prompt"]
        prompt = row["prompt"] or filled_in(self.template, [label])[0]

        def masks() -> Mapping[str, Mask]:
            return {label: read_mask(self.root / row["mask"])}

        return Sample(
            id=f"{row['image']}#{index}",
            source=self.root / row["image"],
            labels=(label,),
            prompts=(prompt,),
            masks=Masks(masks) if row["mask"] else None,
        )


def _row(cells: Mapping[str | None, str | None], path: Path, line: int) -> dict[str, str]:
    row = {name: (cells.get(name) or "").strip() for name in COLUMNS}
    if not row["image"] or not (row["label"] or row["prompt"]):
        raise InputError(f"{str(path)!r}, line {line}: give an image and a label or a prompt")
    return row


KINDS = (
    DatasetKind(
        name="folder",
        title="Your own images",
        source="a CSV file",
        form="FILE.csv",
        layout=FORM,
        has_masks=True,
        open=Folder,
    ),
)
