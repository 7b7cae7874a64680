import sys
from io import BytesIO
from types import SimpleNamespace

import matplotlib
import pytest
from matplotlib.figure import Figure
from PIL import Image

from whyclip.errors import OutputError
from whyclip.render import png_bytes, save_png, show


def test_without_a_window_a_png_is_written_and_named(make, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "agg")
    show(make())
    (written,) = tmp_path.glob("whyclip-*.png")
    assert str(written) in capsys.readouterr().out
    assert Image.open(written).size[0] > 500


def test_in_a_notebook_the_page_is_displayed(make, monkeypatch):
    shown = []
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    display = SimpleNamespace(HTML=lambda html: html, display=shown.append)
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    show(make())
    assert len(shown) == 1
    assert shown[0].startswith("<iframe")


def test_with_a_window_the_figure_opens_there_and_pyplot_stays_out(make, monkeypatch):
    opened = []

    class Manager:
        def show(self):
            opened.append("shown")

        @classmethod
        def start_main_loop(cls):
            opened.append("looped")

    class FigureCanvas:
        @staticmethod
        def new_manager(drawn, number):
            opened.append("drawn" if isinstance(drawn, Figure) else "other")
            return Manager()

    module = SimpleNamespace(FigureCanvas=FigureCanvas)
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "tkagg")
    monkeypatch.setattr(
        "matplotlib.backends.registry.backend_registry.load_backend_module", lambda name: module
    )
    show(make())
    assert opened == ["drawn", "shown", "looped"]


def test_save_png_writes_the_figure(make, tmp_path):
    explanation = make()
    path = save_png(explanation, tmp_path / "why.png")
    assert Image.open(path).size == Image.open(BytesIO(png_bytes(explanation))).size


def test_save_png_into_no_folder_is_an_output_error(make, tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        save_png(make(), tmp_path / "nowhere" / "why.png")
