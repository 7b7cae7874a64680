"""Your own images: a CSV file with paths, labels, prompts and masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyclip.datasets.annotation_files import Mask, file_at, is_folder, read_mask, stamp
from whyclip.datasets.dataset import TEMPLATE, Dataset, Masks, Sample, filled_in
from whyclip.datasets.kind import DatasetKind
from whyclip.datasets.tables import inside, read_table, shown
from whyclip.errors import InputError

COLUMNS = ("image", "label", "prompt", "mask")
FORM = "a CSV file with the columns image, label and/or prompt, and optionally mask"


class Folder(Dataset):
    """One sample per row of a CSV file.

    Columns: ``image``, a path relative to the CSV file; ``label``, its class; ``prompt``, by
    default the label in a template; ``mask``, an image of the same size with non-zero values on
    the object, or empty. Without labels, the prompts are the classes. Other columns are ignored.
    """

    name = "folder"

    def __init__(
        self, file: str | Path, *, template: str = TEMPLATE, outside: bool = False
    ) -> None:
        """Read the rows.

        Args:
            file: the CSV file, or a folder with an ``index.csv``. Its encoding is UTF-8, or
                UTF-16 with a byte order mark.
            template: template of missing prompts.
            outside: whether rows may name files outside the folder, by absolute paths or ``..``.

        Raises:
            InputError: a column or a cell is missing, or a row names a file outside the folder.
        """
        path = Path(file) / "index.csv" if is_folder(Path(file)) else Path(file)
        self.root = file_at(path, FORM).parent
        columns, rows = read_table(path)
        if "image" not in columns or not {"label", "prompt"} & set(columns):
            raise InputError(f"{shown(path)} has columns {sorted(columns)!r:.80}; give {FORM}")
        self.rows = [_row(row, path, line) for line, row in rows]
        if not self.rows:
            raise InputError(f"{shown(path)} has no row below its header")
        for row in self.rows:
            for column in ("image", "mask"):
                inside(self.root, row[column], path, outside=outside)
        # An image may have several rows; its id must not depend on rows of other images.
        before: Counter[str] = Counter()
        self.ids = [f"{row['image']}#{_counted(before, row['image'])}" for row in self.rows]
        self.template = template
        has_label = {row["label"] or row["prompt"]: bool(row["label"]) for row in self.rows}
        self.classes = self.names = tuple(has_label)
        self.labelled = has_label

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def prompt_of(self, label: str) -> str:
        """Fill the template with a label; without labels, return the prompt."""
        name = self.names[self.number_of(label)]
        return filled_in(self.template, [name])[0] if self.labelled[name] else name

    def has_masks(self) -> bool:
        """Whether any row has a mask."""
        return any(row["mask"] for row in self.rows)

    def state_of(self, index: int) -> list[Any]:
        """The row, with size and time of each of its files."""
        row = self.rows[index]
        files = [self.root / row[of] for of in ("image", "mask") if row[of]]
        return [self.ids[index], *row.values(), *map(stamp, files)]

    def sample(self, index: int) -> Sample:
        """Describe one row."""
        row = self.rows[index]
        label = row["label"] or row["prompt"]
        prompt = row["prompt"] or filled_in(self.template, [label])[0]

        def masks() -> Mapping[str, Mask]:
            return {label: read_mask(self.root / row["mask"])}

        return Sample(
            id=self.ids[index],
            source=self.root / row["image"],
            labels=(label,),
            prompts=(prompt,),
            masks=Masks(masks) if row["mask"] else None,
        )


def _row(cells: Mapping[str, str], path: Path, line: int) -> dict[str, str]:
    row = {name: cells.get(name, "") for name in COLUMNS}
    if not row["image"] or not (row["label"] or row["prompt"]):
        raise InputError(f"{shown(path)}, line {line}: give an image and a label or a prompt")
    return row


def _counted(before: Counter[str], name: str) -> int:
    before[name] += 1
    return before[name] - 1


KINDS = (
    DatasetKind(
        name="folder",
        title="Your own images",
        source="a CSV file",
        form="FILE.csv",
        layout=FORM,
        has_masks=True,
        open=Folder,
        names_files=True,
    ),
)
