import numpy as np
import pytest
import torch
from PIL import Image

from whyclip.errors import InputError
from whyclip.render import overlay
from whyclip.render.colour import Scale


def pixels(image):
    return np.asarray(image, dtype=float)


def test_the_pixel_of_no_relevance_keeps_the_picture_and_the_peak_takes_the_map_colour():
    picture = Image.new("RGB", (2, 1), (40, 120, 200))
    drawn = pixels(overlay(picture, np.array([[0.0, 5.0]]), strongest=0.8, greyness=0.0))
    hottest = 255 * Scale(1.0, signed=False).rgb(np.array(1.0))
    np.testing.assert_array_equal(drawn[0, 0], [40, 120, 200])
    np.testing.assert_allclose(drawn[0, 1], 0.2 * np.array([40, 120, 200]) + 0.8 * hottest, atol=1)


def test_the_picture_turns_grey_so_that_colour_is_the_maps():
    loud = Image.new("RGB", (2, 1), (250, 40, 10))
    drawn = pixels(overlay(loud, np.array([[0.0, 1.0]]), greyness=0.8))
    assert np.ptp(drawn[0, 0]) == pytest.approx(0.2 * 240, abs=2)
    assert drawn[0, 0] @ [0.299, 0.587, 0.114] == pytest.approx(99.4, abs=1)  # as light as before


def test_the_sign_decides_between_warm_and_cold():
    grey = Image.new("RGB", (2, 1), (128, 128, 128))
    in_favour, against = pixels(overlay(grey, np.array([[1.0, -1.0]])))[0]
    assert in_favour[0] > in_favour[2] + 50
    assert against[2] > against[0] + 50


def test_more_relevance_hides_more_of_the_picture():
    board = Image.fromarray(np.tile(np.array([0, 255], np.uint8), (10, 10))).convert("RGB")
    heat = np.repeat(np.linspace(0, 1, 10)[:, None], 20, axis=1)
    contrast = np.abs(np.diff(pixels(overlay(board, heat)), axis=1)).mean(axis=(1, 2))
    assert (np.diff(contrast) < 0).all()
    assert contrast[-1] > 20  # the picture still shows through at the peak


def test_unseen_parts_are_grey_hatching_and_take_no_part_in_the_scale():
    heat = np.ones((60, 60))
    heat[:, :30] = np.nan
    picture = Image.new("RGB", (60, 60), (250, 20, 20))
    drawn = pixels(overlay(picture, heat))
    unseen = drawn[:, :30].reshape(-1, 3)
    assert np.ptp(unseen, axis=1).max() == 0
    shades = np.unique(unseen[:, 0])
    assert len(shades) == 2
    assert shades[1] - shades[0] > 25
    assert np.ptp(drawn[:, 30:], axis=-1).min() > 20


def test_a_map_of_nothing_but_unseen_or_zero_is_drawn():
    assert overlay(None, np.full((4, 4), np.nan)).size == (4, 4)
    blank = pixels(overlay(None, np.zeros((4, 4))))
    assert np.ptp(blank) == 0


def test_any_image_mode_and_size_and_a_tensor_with_gradient_are_taken():
    heat = torch.rand(30, 40, requires_grad=True)
    for mode in ("L", "RGBA", "CMYK", "P", "I;16"):
        drawn = overlay(Image.new(mode, (7, 5)), heat)
        assert (drawn.size, drawn.mode) == ((40, 30), "RGB")


@pytest.mark.parametrize("shape", [(3, 4, 5), (4,), (0, 4)])
def test_anything_but_one_map_is_refused_by_its_shape(shape):
    with pytest.raises(InputError, match=r"shape \(" + str(shape[0])):
        overlay(None, np.zeros(shape))


def test_explanations_overlay_lands_where_the_map_is_hot(make):
    explanation = make(("a red disc",))
    drawn = pixels(overlay(explanation.image, explanation.heatmap()[0], greyness=0.0))
    plain = pixels(explanation.image)
    change = np.abs(drawn - plain).sum(-1)
    assert change[60, 200:].max() > 4 * change[200, 20]
