"""Page of many explained images that can be filtered and sorted."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from PIL import Image

from whyclip.explanation import Explanation
from whyclip.files import data_uri, write_atomic
from whyclip.render.reading import map_scales, overlays

SIDE = 240
"""Longest side of a thumbnail in pixels."""

MOST = 2000
"""Most images with thumbnails; others are listed by name to keep the page below about 50 MB."""


@dataclass
class Gallery:
    """Explained images, added one at a time; only thumbnails are kept.

    Attributes:
        entries: name, link, scores and thumbnails of each image.
        prompts: prompts of all images.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    prompts: tuple[str, ...] = ()

    def add(self, name: str, link: str, explanation: Explanation) -> None:
        """Add an image.

        Args:
            name: displayed name, used by the filter.
            link: path of its page or figure, relative to the gallery.
            explanation: explanation of the image.
        """
        self.prompts = explanation.labels
        thumbnails = []
        if len(self.entries) < MOST:
            drawn = overlays(explanation, map_scales(explanation), longest=SIDE)
            first = [] if explanation.image is None else [explanation.image]
            thumbnails = [_thumbnail(one) for one in [*first, *drawn]]
        self.entries.append(
            {
                "name": name,
                "link": quote(link),
                "scores": [round(score, 6) for score in explanation.scores.tolist()],
                "thumbnails": thumbnails,
            }
        )

    def page(self) -> str:
        """Write the gallery as one self-contained HTML page."""
        room = files("whyclip") / "report"
        style = (files("whyclip") / "render" / "viewer" / "viewer.css").read_text(encoding="utf-8")
        data = json.dumps({"prompts": self.prompts, "entries": self.entries})
        return Template((room / "gallery.html").read_text(encoding="utf-8")).substitute(
            title=f"{len(self.entries)} images",
            prompts=escape(", ".join(self.prompts)),
            style=style,
            script=(room / "gallery.js").read_text(encoding="utf-8"),
            # Escaped, so that the data cannot close the script element.
            data=data.replace("<", "\\u003c"),
        )

    def save(self, path: Path) -> Path:
        """Write the page; return its path.

        Raises:
            OutputError: the page cannot be written.
        """
        write_atomic(path, lambda: self.page().encode())
        return path


def _thumbnail(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = BytesIO()
    small.save(file, "JPEG", quality=80)
    return data_uri("jpeg", file.getvalue())
