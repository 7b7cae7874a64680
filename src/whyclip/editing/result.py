"""The result: a table of edited prompts, sorted by the change of the score."""

from __future__ import annotations

import csv
import io
import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from whyclip.ambient import in_plain_state
from whyclip.editing.variants import EditKind
from whyclip.errors import OutputError, check_choice, quoted
from whyclip.files import path_of, write_atomic
from whyclip.report import Column, Picture, Report, Table

if TYPE_CHECKING:
    import pandas

    from whyclip.explanation import Explanation

ENDINGS = (".csv", ".html", ".json")
_SHOWN = 200


@dataclass(frozen=True)
class Edit:
    """One edited prompt.

    Attributes:
        kind: ``"leave out"``, ``"swap"``, ``"exchange"``, or ``"own"`` for the user's own prompt.
        prompt: the edited prompt.
        before: changed words of the original.
        after: their replacement; empty if they were left out.
        score: the model's score with the image.
        change: score minus the score of the original prompt.
    """

    kind: EditKind
    prompt: str
    before: str
    after: str
    score: float
    change: float


@dataclass(frozen=True)
class Edits:
    """Edits of one prompt for one image, from the largest rise of the score to the largest drop.

    Attributes:
        model: name of the model.
        prompt: the original prompt.
        score: its score with the image, a cosine.
        rows: the edits.
        explanation: maps and words of the original and of the edits that change the score most;
            None unless maps were requested.
    """

    model: str
    prompt: str
    score: float
    rows: tuple[Edit, ...]
    explanation: Explanation | None = field(default=None, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Edit:
        return self.rows[index]

    def __repr__(self) -> str:
        return f"Edits({self.model!r:.60}, {self.prompt!r:.60}; {len(self)} edits)"

    def of(self, kind: EditKind) -> Edits:
        """Keep the edits of one kind.

        Args:
            kind: ``"leave out"``, ``"swap"``, ``"exchange"`` or ``"own"``.

        Raises:
            OptionError: the kind is unknown.
        """
        check_choice("kind of edit", kind, get_args(EditKind))
        rows = tuple(row for row in self.rows if row.kind == kind)
        return Edits(self.model, self.prompt, self.score, rows, self.explanation)

    def table(self, most: int | None = None) -> Table:
        """Return the edits as a table.

        Args:
            most: largest number of rows, half of them from each end.
        """
        rows = list(self.rows)
        note = f"The score of {self.prompt!r} is {self.score:.3f}."
        if most is not None and len(rows) > most:
            head = (most + 1) // 2
            note += f" {len(rows) - most:,} edits in the middle are not shown."
            rows = rows[:head] + rows[len(rows) - (most - head) :]
        columns = (
            Column("prompt"),
            Column("kind"),
            Column("before", "was"),
            Column("after", "is"),
            Column("score"),
            Column("change", help="score minus the score of the original prompt"),
        )
        return Table("Edits", columns, tuple(asdict(row) for row in rows), note)

    def report(self) -> Report:
        """Return the edits as a page, with the requested maps."""
        sections: list[str | Table | Picture] = [
            f"Change of the score of {self.model} if words of the prompt are left out, swapped or "
            "exchanged, for one image."
        ]
        if self.explanation is not None:
            from whyclip.render import figure

            labels = ", ".join(self.explanation.labels)
            sections.append(Picture(figure(self.explanation), f"Heat maps of {labels}"))
        command = shlex.join(["whyclip", "edits", "IMAGE", self.prompt])
        return Report(f"Edits of {self.prompt!r}", command, [*sections, self.table(_SHOWN)])

    def to_dataframe(self) -> pandas.DataFrame:
        """Return one row per edit (needs pandas: ``pip install 'whyclip[pandas]'``).

        Raises:
            OutputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise OutputError("to_dataframe needs pandas; pip install 'whyclip[pandas]'") from None
        return pandas.DataFrame([asdict(row) for row in self.rows], columns=list(_FIELDS))

    def to_json(self) -> dict[str, Any]:
        """Describe the edits in plain JSON types."""
        return {
            "model": self.model,
            "prompt": self.prompt,
            "score": self.score,
            "edits": [asdict(row) for row in self.rows],
        }

    @in_plain_state
    def save(self, path: str | Path) -> Path:
        """Write to a file; its extension decides the format: ``.csv``, ``.html`` or ``.json``.

        Raises:
            OutputError: the extension is unknown or the file cannot be written.
        """
        path = path_of(path)
        encode = {".csv": self._csv, ".html": self._html, ".json": self._json}
        ending = path.suffix.lower()
        if ending not in encode:
            raise OutputError(
                f"cannot write {quoted(str(path))}: end it in one of {', '.join(ENDINGS)}"
            )
        write_atomic(path, lambda: encode[ending]().encode("utf-8", "backslashreplace"))
        return path

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, _FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in self.rows)
        return text.getvalue()

    def _html(self) -> str:
        return self.report().page()

    def _json(self) -> str:
        return json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, indent=1)

    def _repr_html_(self) -> str:
        return self.report()._repr_html_()


_FIELDS = ("kind", "prompt", "before", "after", "score", "change")
