import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from whyclip.errors import OptionError
from whyclip.inputs import keep_size, normalisation_of, prepare
from whyclip.inputs.prepare import MAX_PATCHES

PATCH, NATIVE = 8, (8, 8)
SIDE = 64


def preprocessing(**options):
    return image_transform_v2(PreprocessCfg(size=SIDE, **options), is_train=False)


def photo(width, height, seed=0):
    """Low frequencies only, so that two ways of resampling agree closely."""
    coarse = np.random.default_rng(seed).integers(0, 255, (5, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_model_geometry_is_the_librarys_own_tensor():
    image, preprocess = photo(90, 70), preprocessing()
    [(pixels, geometry)] = prepare([image], preprocess, patch=PATCH, native=NATIVE)
    torch.testing.assert_close(pixels, preprocess(image), rtol=0, atol=0)
    assert geometry.box == pytest.approx((10, 0, 80, 70), abs=0.6)


def test_transformers_processors_are_called_their_own_way():
    import transformers

    processor = transformers.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=SIDE)
    image = photo(90, 70)
    [(pixels, _)] = prepare([image], processor, patch=PATCH, native=NATIVE)
    expected = processor(images=image, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(pixels, expected, rtol=0, atol=0)


@pytest.mark.parametrize("geometry", ["model", "keep", "pad"])
def test_a_square_of_the_native_size_is_the_same_in_every_geometry(geometry):
    image, preprocess = photo(SIDE, SIDE), preprocessing()
    [(pixels, where)] = prepare([image], preprocess, geometry, patch=PATCH, native=NATIVE)
    torch.testing.assert_close(pixels, preprocess(image), rtol=1e-6, atol=1e-6)
    assert where.box == (0, 0, SIDE, SIDE)
    assert where.name == geometry


def test_keep_shows_the_whole_picture_at_its_own_aspect():
    image, preprocess = photo(160, 96), preprocessing()
    [(pixels, where)] = prepare([image], preprocess, "keep", patch=PATCH, native=NATIVE)
    assert pixels.shape == (3, 96, 160)
    assert where.box == (0, 0, 160, 96)
    norm = normalisation_of(preprocess)
    rgb = pixels * torch.tensor(norm.std)[:, None, None] + torch.tensor(norm.mean)[:, None, None]
    np.testing.assert_allclose(rgb.permute(1, 2, 0) * 255, np.asarray(image), atol=1e-3)


@pytest.mark.parametrize(("width", "height"), [(160, 96), (60, 200), (17, 30)])
def test_pad_is_the_librarys_own_letterbox_on_the_mean_colour(width, height):
    norm = normalisation_of(preprocessing())
    image = photo(width, height)
    [(pixels, where)] = prepare([image], preprocessing(), "pad", patch=PATCH, native=NATIVE)
    letterbox = preprocessing(resize_mode="longest")(image)
    black = -torch.tensor(norm.mean) / torch.tensor(norm.std)
    padding = torch.isclose(letterbox, black[:, None, None], atol=1e-5).all(0)
    assert 0.2 < padding.float().mean() < 0.8
    assert (pixels[:, padding] == 0).all()
    torch.testing.assert_close(pixels[:, ~padding], letterbox[:, ~padding], atol=0.02, rtol=0)
    longest = max(width, height)
    left, top = (width - longest) / 2, (height - longest) / 2
    expected = (left, top, left + longest, top + longest)
    assert where.box == pytest.approx(expected, abs=longest / SIDE)


def test_pad_keeps_an_input_that_is_no_multiple_of_the_patch():
    """A 64-pixel input with patches of 14 has a 4 x 4 grid on its first 56 pixels."""
    image = photo(SIDE, SIDE)
    [(pixels, where)] = prepare([image], preprocessing(), "pad", patch=14, native=(4, 4))
    assert pixels.shape == (3, SIDE, SIDE)
    assert where.box == (0, 0, 56, 56)


def test_an_unknown_geometry_names_the_known_ones():
    with pytest.raises(OptionError, match=r"'kept'; did you mean keep"):
        prepare([photo(9, 9)], preprocessing(), "kept", patch=PATCH, native=NATIVE)


def test_keep_size_as_in_the_papers_notebooks():
    assert keep_size(640, 480, 16, (14, 14)) == (480, 640)
    assert keep_size(224, 224, 16, (14, 14)) == (224, 224)
    assert keep_size(100, 100, 16, (14, 14)) == (224, 224)


@given(
    width=st.integers(4, 4000),
    height=st.integers(4, 4000),
    patch=st.sampled_from([8, 14, 16, 32]),
    native=st.sampled_from([4, 7, 14, 16, 24, 37]),
)
def test_keep_size_holds_its_promises(width, height, patch, native):
    h, w = keep_size(width, height, patch, (native, native))
    gh, gw = h // patch, w // patch
    assert (h, w) == (gh * patch, gw * patch)
    assert gh >= 1
    assert gw >= 1
    limit = max(MAX_PATCHES, native**2)
    assert gh * gw <= limit
    if (max(width, height) / min(width, height)) * native**2 < 0.8 * limit:
        assert min(gh, gw) >= native
    if max(width, height) < 8 * min(width, height):
        # Either side moves by at most half a patch, and the longer one once more at the limit.
        assert abs(gh * width - gw * height) <= 1.6 * max(width, height)
