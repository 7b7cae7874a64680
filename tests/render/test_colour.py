"""The inks and scales, against the published table and a plain mixture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inks import TABLE, plainly
from whyclip.render.colour import AGAINST, FOR, Scale, hexadecimal, mixed, scales

NAN = float("nan")


@given(st.floats(0, 1), st.floats(-1, 1))
def test_a_pixel_is_the_mixture_of_the_two_inks_of_its_strength(grey, strength):
    result = mixed(np.array(grey), np.array(strength))
    assert result == pytest.approx(plainly(grey, strength), abs=1e-9)


@pytest.mark.parametrize("at", range(5))
def test_the_table_is_met_at_its_strengths(at):
    for (sign, light), row in TABLE.items():
        rgb = mixed(np.array(float(light)), np.array(sign * at / 4))
        assert hexadecimal(rgb) == row.split()[at]


@given(st.floats(0, 1))
def test_without_relevance_every_level_is_neutral(grey):
    red, green, blue = mixed(np.array(grey), np.array(0.0))
    assert red == green == blue


def lightness(rgb):
    """CIE L* of sRGB."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("grey", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_more_relevance_is_lighter_at_every_level_of_the_image(grey, sign):
    ramp = lightness(mixed(np.array(grey), sign * np.linspace(0, 1, 101)))
    steps = np.diff(ramp)
    assert ramp[-1] - ramp[0] > 40
    assert (steps > -0.1).all()


@pytest.mark.parametrize("strength", np.linspace(-1, 1, 21))
def test_a_lighter_image_stays_lighter_under_every_heat(strength):
    assert (np.diff(lightness(mixed(np.linspace(0, 1, 50), np.array(strength)))) > 0).all()


def test_for_is_warm_and_against_is_cold():
    for strength in (0.1, 0.3, 0.6, 1.0):
        for grey in (0.0, 0.5, 1.0):
            warm, cold = (mixed(np.array(grey), np.array(s)) for s in (strength, -strength))
            assert warm[0] > warm[2] + 0.04
            assert cold[2] > cold[0] + 0.04


def contrast(one, other):
    """WCAG's ratio of two colours."""
    light = []
    for rgb in map(np.asarray, (one, other)):
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        light.append(linear @ np.array([0.2126, 0.7152, 0.0722]) + 0.05)
    return max(light) / min(light)


def channels(colour):
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255


@pytest.mark.parametrize("colour", [FOR, AGAINST])
@pytest.mark.parametrize(
    ("paper", "ink"),
    [
        ("#ffffff", "#1c1f24"),
        ("#f5f6f8", "#1c1f24"),
        ("#121418", "#e9ebee"),
        ("#1c1f25", "#e9ebee"),
    ],
)
def test_words_stay_readable_under_their_marks(colour, paper, ink):
    for opacity in np.linspace(0, 0.75, 16):
        back = opacity * channels(colour) + (1 - opacity) * channels(paper)
        assert contrast(back, channels(ink)) >= 4.5


def test_the_two_word_marks_differ_and_are_inks_of_the_maps():
    assert (FOR, AGAINST) == ("#d44f0f", "#2c76e6")
    assert hexadecimal(mixed(np.array(0.0), np.array(0.75))) == FOR
    assert hexadecimal(mixed(np.array(0.0), np.array(-0.75))) == AGAINST


def test_the_bar_runs_over_strength_across_and_over_grey_upwards():
    bar = Scale(2.0, signed=True).bar(5, 3)
    assert bar.shape == (3, 5, 3)
    for row, grey in enumerate((1.0, 0.5, 0.0)):
        for column, strength in enumerate((-1.0, -0.5, 0.0, 0.5, 1.0)):
            assert bar[row, column] == pytest.approx(plainly(grey, strength))


def test_a_map_that_is_nowhere_negative_runs_from_zero_to_its_peak():
    (scale,) = scales([np.array([[0.0, 2.0], [4.0, 1.0]])])
    assert not scale.signed
    assert scale.strength(np.array([0.0, 1.0, 4.0])) == pytest.approx([0, 0.25, 1])
    assert scale.ends == ("0", "4")


def test_a_signed_map_is_centred_on_zero():
    (scale,) = scales([np.array([[-8.0, 2.0]])])
    assert scale.signed
    assert scale.strength(np.array([-8.0, 0.0, 2.0])) == pytest.approx([-1, 0, 0.25])
    assert scale.ends == ("-8", "8")


def test_one_signed_map_makes_all_maps_of_the_figure_signed_but_keeps_their_own_peaks():
    first, second = scales([np.array([[0.0, 3.0]]), np.array([[-1.0, 0.5]])])
    assert first.signed
    assert second.signed
    assert (first.limit, second.limit) == (3.0, 1.0)


def test_a_shared_scale_takes_the_largest_magnitude_of_all_maps():
    chosen = scales([np.array([[1.0]]), np.array([[-5.0]])], shared=True)
    assert [scale.limit for scale in chosen] == [5.0, 5.0]


def test_rounding_noise_below_zero_does_not_make_a_map_signed():
    assert not scales([np.array([[-1e-9, 1.0]])])[0].signed


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.0], [0, 0]), ([3.0, 3.0], [1, 1]), ([NAN, 2.0], [NAN, 1]), ([NAN, NAN], [NAN, NAN])],
)
def test_degenerate_maps_stay_finite_where_they_are_seen(values, expected):
    (scale,) = scales([np.array(values)])
    np.testing.assert_allclose(scale.strength(np.array(values)), expected)


def test_infinity_neither_sets_the_scale_nor_leaves_the_range():
    values = np.array([1.0, np.inf])
    (scale,) = scales([values])
    assert scale.limit == 1.0
    assert scale.strength(values).max() == 1.0


def test_steps_span_the_scale():
    assert list(Scale(1.0, signed=True).steps(3)) == [-1, 0, 1]
    assert list(Scale(1.0, signed=False).steps(3)) == [0, 0.5, 1]


def test_hexadecimal_writes_each_channel():
    assert hexadecimal((1.0, 0.0, 128 / 255)) == "#ff0080"
