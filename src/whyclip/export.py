"""Save an explanation by file extension: as a page, a figure, or numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from whyclip.ambient import in_plain_state
from whyclip.coco_json import COCO, save_coco
from whyclip.errors import OutputError, quoted
from whyclip.explanation import Explanation
from whyclip.files import path_of, write_atomic
from whyclip.render import figure, figure_bytes, page
from whyclip.storage import encoded

FIGURES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")
ENDINGS = (".html", *FIGURES, ".json", ".npz", ".safetensors")


def check_path(path: str | Path, endings: Sequence[str] = ENDINGS) -> Path:
    """Check, before any work, that :meth:`Explanation.save` can write to a path.

    Raises:
        OutputError: unknown extension, a missing folder, or a folder itself.
    """
    path = path_of(path)
    name = quoted(str(path))
    if path.suffix.lower() not in endings:
        raise OutputError(f"cannot write {name}: end it in one of {', '.join(endings)}")
    try:
        if path.is_dir():
            raise OutputError(f"cannot write {name}: it is a folder")
        if not path.parent.is_dir():
            raise OutputError(f"cannot write {name}: no such folder: {quoted(str(path.parent))}")
        # Name too long.
        path.exists()
    except OSError as error:
        raise OutputError(f"cannot write {name}: {error.strerror}") from None
    return path


@in_plain_state
def save(explanation: Explanation, path: str | Path) -> Path:
    """Write an explanation; see :meth:`Explanation.save`."""
    path = check_path(path)
    if path.name.lower().endswith(COCO):
        return save_coco(path, {path.name[: -len(COCO)]: explanation})
    write_atomic(path, lambda: _encoded(explanation, path.suffix.lower()))
    return path


def _encoded(explanation: Explanation, ending: str) -> bytes:
    if ending == ".html":
        return page([explanation]).encode()
    if ending in FIGURES:
        return figure_bytes(figure(explanation), ending[1:])
    return encoded(explanation, ending)
