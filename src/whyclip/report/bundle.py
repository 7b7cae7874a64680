"""Write one explanation with all its parts to a folder, for example for a bug report."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Sequence
from hashlib import sha256
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

from PIL import Image

from whyclip._version import __version__
from whyclip.ambient import in_plain_state
from whyclip.explanation import Explanation
from whyclip.files import make_folder, write_atomic
from whyclip.render.page import page
from whyclip.render.reading import map_scales, overlays
from whyclip.report.facts import versions
from whyclip.storage import encoded, to_json

MANIFEST = "manifest.json"


@in_plain_state
def save_bundle(
    explanation: Explanation, folder: str | Path, *, source: str = "", command: str = ""
) -> Path:
    """Write an explanation with all its parts to a folder.

    The folder contains ``image.png``, ``maps/`` (one PNG per prompt), ``words.csv``,
    ``scores.csv``, ``explanation.json``, ``explanation.npz`` (read by
    :func:`whyclip.load_explanation`), ``index.html``, and ``manifest.json`` with versions, the
    certificate's verdict, and the size and SHA-256 of each file.

    Args:
        explanation: explanation to write.
        folder: created if missing; files with the same names are replaced.
        source: file name of the image, for the manifest.
        command: command that repeats the explanation, for the manifest.

    Returns:
        The path of the manifest.

    Raises:
        OutputError: a file cannot be written.
    """
    place = make_folder(Path(folder))
    contents: dict[str, Callable[[], bytes]] = {
        "explanation.json": lambda: _json(to_json(explanation)),
        "explanation.npz": lambda: encoded(explanation, ".npz"),
        "index.html": lambda: page([explanation]).encode(),
        "scores.csv": lambda: _csv(*_scores(explanation)),
        "words.csv": lambda: _csv(*_words(explanation)),
    }
    image = explanation.image
    if image is not None:
        contents["image.png"] = lambda: _png(image)
    drawn = overlays(explanation, map_scales(explanation))
    if drawn:
        make_folder(place / "maps")
    for index, (label, overlay) in enumerate(zip(explanation.labels, drawn, strict=False)):
        contents[f"maps/{index + 1:02d}-{_slug(label)}.png"] = lambda one=overlay: _png(one)  # type: ignore[misc]
    files = []
    for name in sorted(contents):
        written = contents[name]()
        write_atomic(place / name, lambda written=written: written)  # type: ignore[misc]
        digest = sha256(written).hexdigest()
        files.append({"name": name, "bytes": len(written), "sha256": digest})
    noted = explanation.certificate
    manifest = {
        "whyclip": __version__,
        "versions": versions(),
        "command": command,
        "source": source,
        "model": explanation.model,
        "method": explanation.method,
        "prompts": list(explanation.labels),
        "verdict": noted.verdict,
        "explains_score": noted.explains_score,
        "files": files,
    }
    write_atomic(place / MANIFEST, lambda: _json(manifest))
    return place / MANIFEST


def _json(record: Any) -> bytes:
    return (json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _csv(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _scores(explanation: Explanation) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    certificate = explanation.certificate
    triples = zip(
        explanation.labels, explanation.scores.tolist(), certificate.score_model, strict=True
    )
    return ("prompt", "score", "score_model"), [list(row) for row in triples]


def _words(explanation: Explanation) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
    columns = ("prompt", "template", "word", "start", "end", "relevance")
    rows = [
        [label, word.template, word.text, word.start, word.end, word.relevance]
        for label, words in zip(explanation.labels, explanation.words, strict=True)
        for word in words
    ]
    return columns, rows


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "prompt"
