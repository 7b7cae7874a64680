"""Figures for papers: exact width, real fonts, each image once, nothing cut."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
import zlib

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from whyclip.errors import InputError, OptionError
from whyclip.render import comparison, figure_bytes
from whyclip.render.layout import Layout
from whyclip.render.panels import methods_figure, prompts_figure

POINTS = {"column": 3.25 * 72, "page": 6.875 * 72, 5.5: 396.0}


def rows_of(make, methods=3):
    one = make()
    return [{f"Method {i}": one if i else make(signed=True) for i in range(methods)}]


def pdf_images(content: bytes) -> int:
    return len(re.findall(rb"/Subtype /Image", content))


def texts_of(drawn):
    drawn.set_dpi(100)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return [
        (t.get_text(), t.get_window_extent(canvas.get_renderer()), t.get_fontsize())
        for t in drawn.texts
        if t.get_text().strip()
    ], canvas.get_width_height()


@pytest.mark.parametrize("width", POINTS)
@pytest.mark.parametrize("bare", [True, False])
def test_a_figure_has_exactly_its_width_and_no_text_is_cut(make, width, bare):
    layout = Layout(width, font_size=7, bare=bare, dpi=40)
    for drawn in (methods_figure(rows_of(make), layout), prompts_figure(make(), layout)):
        [box] = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", figure_bytes(drawn, "pdf"))
        assert float(box[0]) == pytest.approx(POINTS[width])
        texts, (wide, high) = texts_of(drawn)
        assert {size for *_, size in texts} <= {7.0, 0.85 * 7}
        for text, box, _ in texts:
            assert box.x0 >= -1, text
            assert box.x1 <= wide + 1, text
            assert box.y0 >= -1, text
            assert box.y1 <= high + 1, text


def test_bare_panels_have_prompts_and_titles_alone(make):
    bare, full = (
        {t for t, *_ in texts_of(methods_figure(rows_of(make), Layout(bare=b, dpi=40)))[0]}
        for b in (True, False)
    )
    prompts = {"a red disc in the sky", "a blue square on the grass"}
    titles = {f"Method {i}" for i in range(3)}
    assert bare == prompts | titles
    assert {"0.310", "0.298", "against", "for"} <= full - bare


def test_pdf_has_truetype_fonts_and_each_image_once(make):
    rows = [{"one": make(), "two": make()}]
    content = figure_bytes(methods_figure(rows, Layout(dpi=40)), "pdf")
    streams = re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL)
    assert b"/FontFile2" in content
    assert b"/Type3" not in content
    assert pdf_images(content) == 1 + 4  # two rows show one image, with two maps each
    # The shared image is drawn twice all the same.
    drawn = [zlib.decompress(s) for s in streams if s.startswith((b"\x78\x9c", b"\x78\xda"))]
    [page] = [s for s in drawn if b" Do" in s]
    assert len(re.findall(rb"/I\d+ Do", page)) == 6
    both = {"one": make(), "two": make()}
    assert pdf_images(figure_bytes(comparison(both), "pdf")) == 1 + 4 + 1  # and the colour bar


def test_svg_has_no_font_to_miss_and_each_image_once(make):
    content = figure_bytes(methods_figure([{"one": make()}], Layout(dpi=40)), "svg").decode()
    root = ET.fromstring(content)
    images = [e for e in root.iter() if e.tag.endswith("}image")]
    uses = [e for e in root.iter() if e.tag.endswith("}use")]
    href = "{http://www.w3.org/1999/xlink}href"
    assert len({e.get(href) for e in images}) == len(images) == 1 + 2
    symbols = {f"#{e.get('id')}" for e in root.iter() if e.tag.endswith("}symbol")}
    assert len([e for e in uses if e.get(href) in symbols]) == 2
    assert not [e for e in root.iter() if e.tag.endswith("}text")]


def test_dpi_sets_the_resolution_of_images_and_files(make):
    low, high = (methods_figure([{"one": make()}], Layout("column", dpi=d)) for d in (50, 200))
    sizes = [f.axes[1].images[0].get_array().shape[1] for f in (low, high)]
    cell = (3.25 - 0.06) / 2
    np.testing.assert_allclose(sizes, [cell * 50, cell * 200], atol=1)
    for drawn, dpi in ((low, 50), (high, 200)):
        png = figure_bytes(drawn)
        assert int.from_bytes(png[16:20], "big") == int(3.25 * dpi)


def test_a_row_of_other_methods_gets_its_own_titles(make):
    one = make(("a dog",))
    rows = [{"x": one, "y": one}, {"x": one, "y": one}, {"x": one, "z": one}]
    titles = [t for t, *_ in texts_of(methods_figure(rows, Layout(dpi=40)))[0] if len(t) == 1]
    assert titles == ["x", "y", "x", "z"]


def test_columns_break_methods_and_panels_into_rows(make):
    one = make(("a dog",))
    rows = [{f"m{i}": one for i in range(4)}]
    # Two rows of an image and two maps; three rows of a panel each.
    assert len(methods_figure(rows, Layout(columns=2, dpi=40)).axes) == 6
    drawn = prompts_figure(make(), Layout(columns=1, dpi=40))
    assert len({round(a.get_position().y0, 3) for a in drawn.axes}) == 3


def test_what_cannot_be_drawn_is_said(make):
    for bad in ({"width": "wide"}, {"width": 0.1}, {"columns": 0}, {"font_size": 1}, {"dpi": 1}):
        with pytest.raises(OptionError):
            Layout(**bad)
    with pytest.raises(OptionError):
        Layout(float("nan"))
    with pytest.raises(InputError):
        methods_figure([])
    with pytest.raises(InputError, match="same prompts"):
        methods_figure([{"a": make(("x",)), "b": make(("y",))}])


def test_explanations_without_image_or_maps_are_drawn(make):
    prompts_figure(make(with_image=False), Layout(dpi=40))
    prompts_figure(make(with_maps=False), Layout(dpi=40))
    drawn = methods_figure([{"a": make(with_maps=False), "b": make()}], Layout(dpi=40))
    assert "no map" in {t for t, *_ in texts_of(drawn)[0]}
