"""Show an explanation in a notebook, window or file, and write it as a PNG."""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyclip.explanation import Explanation
from whyclip.files import write_atomic
from whyclip.render.embedded import stored_once
from whyclip.render.figure import figure
from whyclip.render.fonts import matplotlib_settings, without_glyph_warnings
from whyclip.render.page import fragment

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show(explanation: Explanation) -> None:
    """Show an explanation as a page in a notebook, else in a window, else as a file.

    In a notebook the page is displayed below the cell. Elsewhere a matplotlib window opens,
    if there is an interactive backend. Otherwise a temporary PNG is written and its path printed.
    """
    if _in_notebook():
        from IPython.display import HTML, display

        display(HTML(fragment(explanation)))
    elif _interactive_backend() is not None:
        _open_window(figure(explanation))
    else:
        with tempfile.NamedTemporaryFile(prefix="whyclip-", suffix=".png", delete=False) as file:
            file.write(png_bytes(explanation))
        print(f"no display available; saved to {file.name}")


def png_bytes(explanation: Explanation) -> bytes:
    """Encode the figure as PNG."""
    return figure_bytes(figure(explanation))


def figure_bytes(drawn: Figure, kind: str = "png", dpi: float | str = "figure") -> bytes:
    """Encode a figure at its own size.

    PDF has text in embedded TrueType fonts, SVG has text as outlines; both contain each image
    once. Equal figures give equal files.

    Args:
        drawn: any matplotlib figure.
        kind: ``"png"``, ``"jpg"``, ``"pdf"`` or ``"svg"``.
        dpi: resolution of PNG, JPEG, and images in other formats.
    """
    fixed: dict[Any, Any] = {
        "savefig.bbox": None,
        "savefig.dpi": dpi,
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
        "svg.hashsalt": "whyclip",
    }
    dated = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    file = BytesIO()
    with without_glyph_warnings(), matplotlib_settings(fixed):
        drawn.savefig(file, format=kind, metadata=dated.get(kind))
    written = file.getvalue()
    return stored_once(written.decode()).encode() if kind == "svg" else written


def save_png(explanation: Explanation, path: str | Path) -> Path:
    """Write the figure to a PNG file, atomically; return the path.

    Raises:
        OutputError: the file cannot be written.
    """
    path = Path(path)
    write_atomic(path, lambda: png_bytes(explanation))
    return path


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel, not a terminal."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _interactive_backend() -> str | None:
    """Return the current or the default backend of matplotlib, if it opens windows."""
    import matplotlib
    from matplotlib.backends.registry import BackendFilter, backend_registry

    name = matplotlib.get_backend()
    windowed = backend_registry.list_builtin(BackendFilter.INTERACTIVE)
    return name if name.lower() in {backend.lower() for backend in windowed} else None


def _open_window(drawn: Figure) -> None:
    """Open a window for a figure; return when it is closed, or at once in interactive mode."""
    import matplotlib
    from matplotlib.backends.registry import backend_registry

    module = backend_registry.load_backend_module(matplotlib.get_backend())
    manager = module.FigureCanvas.new_manager(drawn, 1)
    manager.show()
    if not matplotlib.is_interactive():
        type(manager).start_main_loop()
