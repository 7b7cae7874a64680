import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from whyclip.errors import ImageError
from whyclip.inputs import read_image
from whyclip.inputs.images import MAX_ASPECT, MIN_SIDE

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


@pytest.fixture
def corners():
    """A 12 x 8 picture whose four corners tell every rotation and flip apart."""
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:4, :6], pixels[:4, 6:], pixels[4:, :6] = RED, GREEN, BLUE
    pixels[4:, 6:] = WHITE
    return pixels


def corner_colours(image):
    w, h = image.size
    return [image.getpixel(p) for p in ((1, 1), (w - 2, 1), (1, h - 2), (w - 2, h - 2))]


# The EXIF standard: where row 0 and column 0 of the stored pixels go, undone by hand.
UNDO = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UNDO)
def test_exif_orientation_is_applied(tmp_path, corners, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(corners).save(path, exif=exif)
    expected = np.ascontiguousarray(UNDO[orientation](corners))
    np.testing.assert_array_equal(np.asarray(read_image(path)), expected)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(np.asarray(read_image(opened)), expected)


@pytest.mark.parametrize("as_", ["path", "str", "pil", "numpy", "float", "torch", "torch-float"])
def test_every_kind_of_source_gives_the_same_pixels(tmp_path, corners, as_):
    path = tmp_path / "a.png"
    Image.fromarray(corners).save(path)
    chw = torch.from_numpy(corners.copy()).permute(2, 0, 1)
    source = {
        "path": path,
        "str": str(path),
        "pil": Image.fromarray(corners),
        "numpy": corners,
        "float": corners / 255,
        "torch": chw,
        "torch-float": (chw / 255).half().requires_grad_(),
    }[as_]
    image = read_image(source)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), corners)


def test_channels_last_tensors_and_planes(corners):
    tensor = torch.from_numpy(corners.copy())
    np.testing.assert_array_equal(np.asarray(read_image(tensor)), corners)
    plane = corners[:, :, 0]
    for grey in (plane, plane[:, :, None], torch.from_numpy(plane.copy())[None]):
        np.testing.assert_array_equal(np.asarray(read_image(grey))[:, :, 1], plane)


def test_alpha_is_laid_on_white(tmp_path, corners):
    alpha = np.full((8, 12, 1), 0, np.uint8)
    alpha[:4], alpha[4:, :6] = 255, 128
    rgba = np.concatenate([corners, alpha], 2)
    expected = [RED, GREEN, (127, 127, 255), WHITE]
    path = tmp_path / "a.png"
    Image.fromarray(rgba).save(path)
    for source in (path, rgba, torch.from_numpy(rgba), rgba / 255):
        np.testing.assert_allclose(corner_colours(read_image(source)), expected, atol=1)


def test_palette_with_a_transparent_entry_is_laid_on_white(tmp_path):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (0, 0, 4, 8))
    path = tmp_path / "a.gif"
    image.save(path, transparency=0)
    assert corner_colours(read_image(path)) == [WHITE, RED, WHITE, RED]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "HSV", "YCbCr", "RGBa"])
def test_other_modes_keep_white_white_and_black_black(mode):
    grey = Image.new("RGB", (8, 8), WHITE)
    grey.paste((0, 0, 0), (0, 0, 4, 8))
    source = grey.convert("RGBA").convert(mode) if mode == "RGBa" else grey.convert(mode)
    black, white = read_image(source).getpixel((1, 1)), read_image(source).getpixel((6, 1))
    assert black == (0, 0, 0)
    assert white == WHITE


def test_cmyk_by_formula_and_by_its_profile(tmp_path):
    cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    path = tmp_path / "a.tiff"
    cmyk.save(path)
    assert read_image(path).getpixel((2, 2)) == RED
    cmyk.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_image(cmyk).getpixel((2, 2)) == RED, "a profile of another space is left aside"


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.linspace(0, 65535, 64).round().astype(np.uint16).reshape(8, 8)
    expected = np.rint(values / 257).astype(np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(values).save(path)
    for source in (path, values, Image.fromarray(values)):
        np.testing.assert_array_equal(np.asarray(read_image(source))[:, :, 2], expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 255]], np.int32), [0, 255]),
        (np.array([[0, 65535]], np.int32), [0, 255]),
        (np.array([[257, 65535]], np.int32), [1, 255]),
        (np.array([[-100, 100]], np.int32), [0, 255]),
        (np.array([[0.0, 0.5]], np.float32), [0, 128]),
        (np.array([[0.0, 200.0]], np.float32), [0, 200]),
        (np.array([[7e5, 7e5]], np.float32), [0, 0]),
    ],
)
def test_wide_grey_modes_are_scaled_by_their_range(values, expected):
    image = Image.fromarray(np.repeat(np.repeat(values, 4, 0), 4, 1))
    assert image.mode in ("I", "F")
    read = read_image(image)
    assert [read.getpixel((1, 1))[0], read.getpixel((6, 1))[0]] == expected


def test_animation_gives_its_first_frame(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    path = tmp_path / "a.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:])
    assert read_image(path).getpixel((2, 2)) == RED


def test_the_source_is_left_alone_and_files_are_closed(tmp_path, corners):
    path = tmp_path / "a.png"
    Image.fromarray(corners).save(path)
    before = path.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # ResourceWarning for a file left open
        read_image(path).putpixel((0, 0), WHITE)
        source = Image.fromarray(corners)
        read_image(source).putpixel((0, 0), WHITE)
    assert path.read_bytes() == before
    assert source.getpixel((0, 0)) == RED
    array = corners.copy()
    read_image(array).putpixel((0, 0), WHITE)
    np.testing.assert_array_equal(array, corners)


def jpeg_bytes(size=(64, 64)):
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(noise).save(out, "JPEG")
    return out.getvalue()


BAD_FILES = {
    "a text file": (b"hello, this is no picture", "not an image"),
    "a truncated JPEG": (jpeg_bytes()[:1500], "damaged or cut short"),
    "an empty file": (b"", "empty"),
    "a bare PNG signature": (b"\x89PNG\r\n\x1a\n", "not an image|cannot be opened|damaged"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_named_in_one_line(tmp_path, case):
    content, says = BAD_FILES[case]
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=says) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_folders_and_addresses(tmp_path):
    with pytest.raises(ImageError, match=r"no such file: .*gone\.png"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="web address"):
        read_image("https://example.org/cat.png")


def test_a_name_that_is_too_long_and_a_folder_that_may_not_be_entered(tmp_path, monkeypatch):
    long = "x" * 300 + ".png"
    with pytest.raises(ImageError, match=r"\.\.\.' cannot be opened: ") as caught:
        read_image(tmp_path / long)
    assert "\n" not in str(caught.value)

    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", forbidden)  # the superuser may enter any folder
    with pytest.raises(ImageError, match=r"a\.png' cannot be opened: Permission denied"):
        read_image("locked/a.png")


@pytest.mark.parametrize(
    "size", [(1, 1), (MIN_SIDE - 1, 50), (20000, 30), (10, 10 * MAX_ASPECT + 1)]
)
def test_useless_sizes_are_refused_for_every_kind(tmp_path, size):
    image = Image.new("RGB", size)
    path = tmp_path / "a.png"
    image.save(path)
    for source in (path, image, np.asarray(image)):
        with pytest.raises(ImageError, match=f"{size[0]}x{size[1]}"):
            read_image(source)


def test_sizes_at_the_limits_are_read():
    for size in ((MIN_SIDE, MIN_SIDE), (10 * MAX_ASPECT, 10)):
        assert read_image(Image.new("RGB", size)).size == size


def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("L", (100, 100)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"too large.*10000 pixels"):
        read_image(path)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (np.full((8, 8, 3), np.nan), "NaN"),
        (np.full((8, 8, 3), 7.5), r"from 7.5 to 7.5.*0 to 1"),
        (np.zeros((8, 8, 3), np.int64), "int64.*uint8"),
        (np.zeros((8, 8, 2), np.uint8), r"\(8, 8, 2\)"),
        (np.zeros((2, 3, 8, 8), np.uint8), "one image at a time"),
        (torch.zeros(8, 8, 3, dtype=torch.complex64), "complex64"),
        (Image.fromarray(np.full((8, 8), np.nan, np.float32)), "NaN"),
        (np.zeros((0, 8, 3), np.uint8), "8x0"),
        (42, "42 of type int"),
        (None, "None of type NoneType"),
    ],
)
def test_bad_arrays_are_quoted(source, says):
    with pytest.raises(ImageError, match=says):
        read_image(source)
