"""Reports of paragraphs, tables and figures, as one page and as separate files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any

from whyclip.errors import OutputError
from whyclip.files import data_uri, make_folder, write_atomic
from whyclip.render.page import framed
from whyclip.report.markdown import inline, prose
from whyclip.report.scored_images import SCRIPT_HASH, ScoredImages
from whyclip.report.table import Table

DPI = 160


@dataclass(frozen=True)
class Picture:
    """An image or figure with a description.

    Attributes:
        image: path of a PNG file, or a matplotlib figure.
        alt: alternative text.
        caption: text below the image; may be empty.
    """

    image: Any
    alt: str
    caption: str = ""

    def png(self) -> bytes:
        """Encode it as PNG.

        Raises:
            OutputError: the file cannot be read or is not a PNG.
        """
        if hasattr(self.image, "savefig"):
            buffer = BytesIO()
            self.image.savefig(buffer, format="png", dpi=DPI)
            return buffer.getvalue()
        try:
            content = Path(self.image).read_bytes()
        except OSError as error:
            raise OutputError(
                f"image {str(self.image)!r} cannot be read: {error.strerror}"
            ) from None
        if not content.startswith(b"\x89PNG"):
            raise OutputError(f"image {str(self.image)!r} is not a PNG file")
        return content


Section = str | Table | Picture | ScoredImages


@dataclass(frozen=True)
class Report:
    """A report of one run.

    Attributes:
        title: title of the page.
        command: command that reproduces the report.
        sections: content in order; a string is Markdown with headings (``##``), lists (``-``), code
            and bold, see :func:`whyclip.report.markdown.prose`.
        facts: facts about the run, from :func:`whyclip.report.run_facts`.
    """

    title: str
    command: str
    sections: Sequence[Section]
    facts: Mapping[str, str] = field(default_factory=dict)

    def page(self) -> str:
        """Write the report as one self-contained HTML page.

        Raises:
            OutputError: an image file cannot be read.
        """
        return self._html(self._pictures())

    def _repr_html_(self) -> str:
        return framed(self.page(), self.title)

    def _pictures(self) -> dict[int, bytes]:
        return {i: s.png() for i, s in enumerate(self.sections) if isinstance(s, Picture)}

    def save(self, folder: str | Path) -> Path:
        """Write ``index.html``, ``report.md``, each table as CSV and each image as PNG.

        If pandas and pyarrow are installed, tables are also written as Parquet.

        Args:
            folder: created if missing; existing files are replaced.

        Returns:
            The path of the page.

        Raises:
            OutputError: the folder or a file cannot be written.
        """
        place = make_folder(Path(folder))
        names = self._file_names()
        images = self._pictures()
        with_parquet = find_spec("pandas") is not None and find_spec("pyarrow") is not None
        for index, section in enumerate(self.sections):
            if isinstance(section, Table):
                section.to_csv(place / f"{names[index]}.csv")
                if with_parquet:
                    section.to_parquet(place / f"{names[index]}.parquet")
            elif isinstance(section, Picture):
                write_atomic(place / f"{names[index]}.png", partial(images.__getitem__, index))
        markdown, page = self._markdown(names), self._html(images)
        write_atomic(place / "report.md", lambda: markdown.encode("utf-8", "replace"))
        write_atomic(place / "index.html", lambda: page.encode("utf-8", "replace"))
        return place / "index.html"

    def _file_names(self) -> dict[int, str]:
        """Choose a distinct file name for each table and image."""
        names: dict[int, str] = {}
        for index, section in enumerate(self.sections):
            if isinstance(section, (str, ScoredImages)):
                continue
            base = _slug(section.title if isinstance(section, Table) else section.alt)
            name, number = base, 2
            while name in names.values():
                name, number = f"{base}-{number}", number + 1
            names[index] = name
        return names

    def _markdown(self, names: Mapping[int, str]) -> str:
        blocks = [f"# {self.title}", f"    {self.command}"]
        if self.facts:
            blocks.append("\n".join(f"- {name}: {value}" for name, value in self.facts.items()))
        for index, section in enumerate(self.sections):
            if isinstance(section, str):
                blocks.append(section)
            elif isinstance(section, (Table, ScoredImages)):
                blocks.append(section.to_markdown())
            else:
                blocks += [f"![{section.alt}]({names[index]}.png)", section.caption]
        return "\n\n".join(block.strip("\n") for block in blocks if block) + "\n"

    def _html(self, images: Mapping[int, bytes]) -> str:
        body = []
        for index, section in enumerate(self.sections):
            if isinstance(section, str):
                body.append(prose(section))
            elif isinstance(section, (Table, ScoredImages)):
                body.append(section.to_html())
            else:
                body.append(_figure(section, images[index]))
        galleries = any(isinstance(section, ScoredImages) for section in self.sections)
        facts = "".join(
            f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in self.facts.items()
        )
        room = files("whyclip")
        style = (room / "render" / "viewer" / "viewer.css").read_text(encoding="utf-8")
        style += (room / "report" / "report.css").read_text(encoding="utf-8")
        return Template((room / "report" / "report.html").read_text(encoding="utf-8")).substitute(
            title=escape(self.title),
            style=style,
            command=escape(self.command),
            # The page's content security policy allows only this script.
            scripts=f"; script-src '{SCRIPT_HASH}'" if galleries else "",
            facts=f"<dl>{facts}</dl>" if facts else "",
            body="\n".join(body),
        )


def _figure(image: Picture, png: bytes) -> str:
    caption = f"<figcaption>{inline(image.caption)}</figcaption>" if image.caption else ""
    return (
        f'<figure class="card picture"><img alt="{escape(image.alt)}" '
        f'src="{data_uri("png", png)}">{caption}</figure>'
    )


def _slug(text: str) -> str:
    """Make a file name from a title: at most 60 lower-case letters, digits and hyphens."""
    words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return words[:60].rstrip("-") or "part"
