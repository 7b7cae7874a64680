"""Every kind of figure, drawn and measured: no text is cut, and no two texts overlap."""

import sys
from io import BytesIO
from itertools import combinations

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from whyclip.errors import InputError
from whyclip.render import comparison, figure, figure_bytes
from whyclip.render.typeset import text_width, wrap
from whyclip.render.words import Segment
from whyclip.types import Box

LONG = "a photograph of " + "a very long description that never seems to end, " * 9
KINDS = {
    "one": {"prompts": ("a dog",)},
    "two": {},
    "eleven": {"prompts": tuple(f"number {i} of the prompts" for i in range(11))},
    "twenty": {"prompts": tuple(f"number {i} of the prompts" for i in range(20))},
    "long": {"prompts": (LONG, "unbreakable" * 20, "x")},
    "strange": {"prompts": ("costs $5 or $x^2$ \\frac", "two\nlines\tand a tab", " ", "")},
    "signed": {"signed": True, "changes": ("one attention head over the whole width",) * 5},
    "cropped": {"box": Box(40, 0, 280, 240), "grid": (7, 7)},
    "wide": {"size": (1600, 300), "grid": (4, 20)},
    "tall": {"size": (200, 900), "grid": (18, 4)},
    "thread": {"size": (20000, 30), "grid": (1, 8)},
    "pixel": {"size": (1, 1), "grid": (1, 1)},
    "no image": {"with_image": False},
    "no maps": {"with_maps": False},
    "text alone": {"with_maps": False, "with_image": False, "prompts": (LONG, "a dog")},
    "no words": {"with_words": False},
    "ensemble": {"prompts": (("a photo of a dog", "a drawing of a dog"), ("a cat",))},
    "long names": {"model": "hf:" + "/a/very/long/folder" * 12, "method": "grad_eclip"},
}


def assert_nothing_cut_or_overlapping(drawn, dpis=(100,)):
    for panel in drawn.axes:
        for image in panel.images:
            image.set_visible(False)  # slow to resample, and without effect on texts and panels
    for dpi in dpis:
        drawn.set_dpi(dpi)
        canvas = FigureCanvasAgg(drawn)
        canvas.draw()
        texts = [t for t in drawn.texts if t.get_text().strip()]
        boxes = [(t.get_text(), t.get_window_extent(canvas.get_renderer())) for t in texts]
        width, height = canvas.get_width_height()
        for text, box in boxes:
            assert box.x0 >= 0, text
            assert box.y0 >= 0, text
            assert box.x1 <= width, text
            assert box.y1 <= height, text
        for (one, a), (other, b) in combinations(boxes, 2):
            wide = min(a.x1, b.x1) - max(a.x0, b.x0)
            high = min(a.y1, b.y1) - max(a.y0, b.y0)
            assert not (wide > 0.03 * dpi and high > 0.03 * dpi), (one, other)
        for text, box in boxes:
            for panel in drawn.axes:
                a = panel.get_window_extent()
                apart = a.x0 >= box.x1 or box.x0 >= a.x1 or a.y0 >= box.y1 or box.y0 >= a.y1
                assert apart, f"{text} lies on a picture"


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_is_cut_or_overlaps_in_a_figure(make, kind):
    assert_nothing_cut_or_overlapping(figure(make(**KINDS[kind])), (100, 150))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("twenty", "eleven")])
def test_no_text_is_cut_or_overlaps_in_a_comparison(make, kind):
    honest, changed = make(**KINDS[kind]), make(**{**KINDS[kind], "changes": ("one head",)})
    methods = {f"method_{i}": honest for i in range(2)} | {"a changed one": changed}
    assert_nothing_cut_or_overlapping(comparison(methods))


@pytest.mark.parametrize("count", [1, 7, 18])
def test_any_number_of_methods_fits(make, count):
    one = make(("a dog",))
    drawn = comparison({f"method number {i}": one for i in range(count)})
    assert_nothing_cut_or_overlapping(drawn)
    assert len(drawn.axes) >= count


def shown(drawn):
    return " ".join(" ".join(text.get_text() for text in drawn.texts).split())


def test_the_figure_says_what_it_explains_and_how_well(make):
    text = shown(figure(make(changes=("one attention head",))))
    for part in (
        "grad_eclip",
        "openclip:ViT-B-16/openai",
        "0.310",
        "0.298",
        "▲ explains a modified computation",
    ):
        assert part in text
    assert "score check failed: explained score 0.331, model score 0.31" in text
    assert "modified computation: one attention head" in text
    assert "grad_eclip:heads=single · openclip:ViT-B-16/openai" in text
    assert "grad_eclip · openclip:ViT-B-16/openai" in shown(figure(make()))


def test_what_prompts_are_set_against_is_named(make):
    against = make(("a dog",), against=("a cat",))
    for drawn in (figure(against), comparison({"fine": against})):
        assert "· openclip:ViT-B-16/openai · rather than a cat" in shown(drawn)
    assert "rather than" not in shown(comparison({"fine": make(("a dog",))}))


def test_no_picture_in_a_comparison_is_larger_than_it_is_drawn(make):
    large = make(("a dog",), size=(3000, 2000))
    drawn = comparison({"one": large, "other": large})
    arrays = [image.get_array().shape for panel in drawn.axes for image in panel.images]
    assert sorted(shape[:2] for shape in arrays)[1:] == [(480, 720)] * 3  # [0] is the colour bar
    small = comparison({"one": make(("a dog",), size=(32, 24))})
    assert small.axes[0].images[0].get_array().shape == (24, 32, 3)


def test_a_map_of_zeros_is_said_to_be_zero(make):
    maps = make().maps.clone()
    maps[1] = 0
    text = shown(figure(make(maps=maps)))
    assert "score 0.310 peak 0.0082" in text
    assert "score 0.298 zero everywhere" in text


def test_a_comparison_marks_each_method_by_its_own_certificate(make):
    text = shown(comparison({"fine": make(), "other": make(changes=("one head",))}))
    assert text.count("●") == 2  # beside its name, and in the legend
    assert text.count("▲") == 2
    assert "▲ other explains a modified computation: score check failed" in text


def test_a_column_without_maps_says_so(make):
    both, words = make(), make(with_maps=False)
    assert "words only" in shown(comparison({"both": both, "words": words}))
    assert "words only" not in shown(comparison({"both": both, "other": make()}))


def test_a_comparison_needs_the_same_prompts(make):
    with pytest.raises(InputError, match="'b' explains"):
        comparison({"a": make(("a dog",)), "b": make(("a cat",))})
    with pytest.raises(InputError, match="at least one"):
        comparison({})


def hot_share(drawn, index):
    """Where the brightest pixel of a panel lies, as shares of its width and height."""
    pixels = np.asarray(drawn.axes[index].images[0].get_array(), dtype=float)
    light = pixels @ np.array([0.2126, 0.7152, 0.0722])
    y, x = np.unravel_index(light.argmax(), light.shape)
    return x / pixels.shape[1], y / pixels.shape[0]


def test_the_heat_of_each_panel_is_where_its_map_is_hot(make):
    drawn = figure(make(grid=(12, 16), with_image=False))
    assert hot_share(drawn, 0) == pytest.approx((0.75, 0.25), abs=0.06)
    assert hot_share(drawn, 1) == pytest.approx((0.3, 0.7), abs=0.06)


def test_a_shared_scale_dims_the_weaker_map(make):
    strong = make(("one", "two"), with_image=False)
    maps = strong.maps.clone()
    maps[1] *= 0.1
    weak = make(("one", "two"), with_image=False, maps=maps)
    separate, shared = figure(weak), figure(weak, shared_scale=True)
    spread = [
        np.ptp(np.asarray(f.axes[1].images[0].get_array(), float)) for f in (separate, shared)
    ]
    assert spread[1] < 0.8 * spread[0]


def test_the_words_of_an_interaction_share_one_scale_with_its_numbers_on_the_bar(make):
    plain = make(("one", "two"), with_image=False)
    maps = plain.maps.clone()
    maps[1] *= 0.1
    plain = make(("one", "two"), with_image=False, maps=maps)
    joint = make(("one", "two"), with_image=False, maps=maps, method="interaction")

    def panels(drawn):
        return [np.asarray(drawn.axes[i].images[0].get_array(), float) for i in (0, 1)]

    separate, shared = panels(figure(plain)), panels(figure(plain, shared_scale=True))
    np.testing.assert_array_equal(panels(figure(joint)), shared)
    np.testing.assert_array_equal(panels(figure(joint, shared_scale=False)), separate)
    assert np.ptp(separate[1], axis=-1).max() > 2 * np.ptp(shared[1], axis=-1).max()
    limit = float(maps.abs().max())
    text = shown(figure(joint))
    assert f"0 all maps on one scale {limit:.2g}" in text
    for one in (plain, joint):  # each panel keeps its own peak in numbers
        peaks = [f"peak {float(m.max()):.2g}" for m in maps]
        assert all(peak in shown(figure(one)) for peak in peaks)


def test_patches_and_contour_are_options_of_a_figure(make):
    one = make(("a dog",), maps=torch.tensor([[[1.0, 0.0], [0.0, 0.0]]]), with_image=False)

    def panel(**options):
        return np.asarray(figure(one, **options).axes[0].images[0].get_array())

    assert len(np.unique(panel(interpolation="nearest").reshape(-1, 3), axis=0)) == 2
    assert len(np.unique(panel().reshape(-1, 3), axis=0)) > 50
    white = (panel(contour=True) == 255).all(-1)
    assert 100 < white.sum() < 0.02 * white.size
    assert not (panel() == 255).all(-1).any()


def settings():
    """Matplotlib's settings as they are: reading them the usual way would choose a backend."""
    return {name: dict.__getitem__(matplotlib.rcParams, name) for name in matplotlib.rcParams}


def test_the_users_backend_settings_and_open_figures_are_left_alone(make):
    before, had_pyplot = settings(), "matplotlib.pyplot" in sys.modules
    figure_bytes(figure(make()))
    comparison({"a": make()})
    assert settings() == before
    assert ("matplotlib.pyplot" in sys.modules) == had_pyplot


def test_png_bytes_are_not_cropped_by_the_users_settings(make):
    drawn = figure(make())
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 30}):
        image = Image.open(BytesIO(figure_bytes(drawn)))
    assert image.size == tuple((drawn.get_size_inches() * 150).astype(int))


def test_wrapping_keeps_every_character_and_every_width():
    pieces = [Segment("the quick  brown "), Segment("foxjumpsoverthelazydog", 1.0), Segment(" end")]
    lines = wrap(pieces, 1.0, 10, most=99)
    joined = "".join(piece.text for line in lines for piece in line)
    assert joined.replace(" ", "") == "".join(p.text for p in pieces).replace(" ", "")
    assert all(text_width("".join(p.text for p in line).rstrip(), 10) <= 1.0 for line in lines)
    assert {p.strength for line in lines for p in line if p.text in "foxjumps"} <= {1.0, None}
