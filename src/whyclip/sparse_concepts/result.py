"""The result: words with weights, and the quality of the reconstruction."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyclip.ambient import in_plain_state
from whyclip.errors import OutputError, quoted
from whyclip.files import path_of, write_atomic
from whyclip.render.show import figure_bytes
from whyclip.report import Column, Picture, Report, Table

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

ENDINGS = (".csv", ".html", ".json", ".png", ".svg", ".pdf")
_BARS = 20
_INK = "#d9730d"


@dataclass(frozen=True)
class Concept:
    """One word of the vocabulary.

    Attributes:
        text: the word or prompt.
        weight: its weight, above 0.
        cosine: cosine of its centred embedding with the explained one.
    """

    text: str
    weight: float
    cosine: float


@dataclass(frozen=True)
class Concepts:
    """An embedding as a non-negative sum of few words, the largest weight first.

    Attributes:
        model: name of the model.
        source: description of the explained image, prompt, folder or difference.
        rows: words whose weight is more than a thousandth of the largest.
        cosine: cosine of the weighted sum of words with the explained embedding, both centred.
        penalty: weight of the sum of weights in the objective.
        vocabulary: number of words in the vocabulary.
    """

    model: str
    source: str
    rows: tuple[Concept, ...]
    cosine: float
    penalty: float
    vocabulary: int

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Concept]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Concept:
        return self.rows[index]

    def __repr__(self) -> str:
        words = ", ".join(f"{row.text} {row.weight:.2f}" for row in self.rows[:5])
        return f"Concepts({self.source!r:.60}: {words or 'none'}; cosine {self.cosine:.2f})"

    def table(self) -> Table:
        """Return the words as a table."""
        columns = (
            Column("text", "concept"),
            Column("weight"),
            Column("cosine", help="cosine of the single concept and the embedding, both centred"),
        )
        note = (
            f"{len(self)} of {self.vocabulary:,} concepts; their weighted sum has cosine "
            f"{self.cosine:.3f} with the embedding."
        )
        return Table(f"Concepts of {self.source}", columns, tuple(map(asdict, self.rows)), note)

    def figure(self) -> Figure:
        """Draw the largest weights as bars, in a matplotlib figure outside of pyplot."""
        from matplotlib.figure import Figure

        rows = self.rows[:_BARS][::-1]
        drawn = Figure(figsize=(6, 1.1 + 0.26 * max(1, len(rows))), layout="constrained")
        axes = drawn.subplots()
        axes.barh([row.text for row in rows], [row.weight for row in rows], color=_INK)
        axes.set_xlabel("weight")
        axes.set_title(f"{self.source} (cosine {self.cosine:.2f})", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        return drawn

    def report(self) -> Report:
        """Return the words as a page."""
        command = shlex.join(["whyclip", "concepts", self.source])
        image = Picture(self.figure(), f"Weights of the concepts of {self.source}")
        return Report(f"Concepts of {self.source}", command, [image, self.table()])

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one row per word (needs pandas: ``pip install 'whyclip[pandas]'``).

        Raises:
            OutputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise OutputError("to_dataframe needs pandas; pip install 'whyclip[pandas]'") from None
        return pandas.DataFrame(list(map(asdict, self.rows)), columns=list(_FIELDS))

    def to_json(self) -> dict[str, Any]:
        """Describe the result in plain JSON types."""
        return {**asdict(self), "rows": list(map(asdict, self.rows))}

    @in_plain_state
    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format.

        ``.csv`` and ``.json`` contain numbers, ``.html`` is a page, and ``.png``, ``.svg`` and
        ``.pdf`` are figures.

        Raises:
            OutputError: the extension is unknown or the file cannot be written.
        """
        path = path_of(path)
        ending = path.suffix.lower()
        if ending not in ENDINGS:
            raise OutputError(
                f"cannot write {quoted(str(path))}: end it in one of {', '.join(ENDINGS)}"
            )
        write_atomic(path, lambda: self._encoded(ending))
        return path

    def _encoded(self, ending: str) -> bytes:
        if ending == ".csv":
            text = io.StringIO()
            writer = csv.DictWriter(text, _FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(map(asdict, self.rows))
            return text.getvalue().encode("utf-8", "backslashreplace")
        if ending == ".html":
            return self.report().page().encode("utf-8", "replace")
        if ending == ".json":
            written = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=1)
            return written.encode("utf-8", "backslashreplace")
        return figure_bytes(self.figure(), ending[1:])

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()


_FIELDS = ("text", "weight", "cosine")
