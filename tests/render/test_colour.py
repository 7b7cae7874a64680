import numpy as np
import pytest

from whyclip.render.colour import Scale, hexadecimal, opacity, scales

NAN = float("nan")


def test_a_map_that_is_nowhere_negative_runs_from_zero_to_its_peak():
    (scale,) = scales([np.array([[0.0, 2.0], [4.0, 1.0]])])
    assert not scale.signed
    assert scale.strength(np.array([0.0, 1.0, 4.0])) == pytest.approx([0, 0.25, 1])


def test_a_signed_map_is_centred_on_zero():
    (scale,) = scales([np.array([[-8.0, 2.0]])])
    assert scale.signed
    assert scale.strength(np.array([-8.0, 0.0, 2.0])) == pytest.approx([-1, 0, 0.25])


def test_one_signed_map_makes_all_maps_of_the_picture_signed_but_keeps_their_own_peaks():
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


def luminance(rgb):
    return rgb @ np.array([0.2126, 0.7152, 0.0722])


def test_more_relevance_is_brighter_all_the_way_and_more_opaque():
    ramp = Scale(1.0, signed=False).rgb(np.linspace(0, 1, 64))
    assert (np.diff(luminance(ramp)) > 0).all()
    assert (np.diff(opacity(np.linspace(0, 1, 64))) > 0).all()
    assert opacity(np.array([0.0])) == 0


def test_for_is_warm_and_against_is_cold_on_every_signed_scale():
    strengths = np.array([0.05, 0.3, 1.0])
    scale = Scale(1.0, signed=True)
    in_favour, against = scale.rgb(strengths), scale.rgb(-strengths)
    assert (in_favour[:, 0] > in_favour[:, 2] + 0.05).all()
    assert (against[:, 2] > against[:, 0] + 0.05).all()


def test_steps_span_the_scale():
    assert list(Scale(1.0, signed=True).steps(3)) == [-1, 0, 1]
    assert list(Scale(1.0, signed=False).steps(3)) == [0, 0.5, 1]


def test_hexadecimal_writes_each_channel():
    assert hexadecimal((1.0, 0.0, 128 / 255)) == "#ff0080"
