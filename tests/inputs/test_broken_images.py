"""Whatever a decoder meets: an RGB image, or one line; and notes where the values say little."""

from __future__ import annotations

import io
import random
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, features

from whyclip.errors import ImageError, WhyclipWarning
from whyclip.inputs import read_image

FORMATS = [
    *("PNG", "JPEG", "GIF", "TIFF", "BMP", "ICO", "PPM", "TGA", "PCX", "DDS", "WEBP", "SGI"),
    *(["AVIF"] if features.check("avif") else []),
    *(["JPEG2000"] if features.check("jpg_2000") else []),
]
NOISE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def encoded(kind: str) -> bytes:
    """An image of the format with all that it can carry: EXIF, profile, palette, transparency."""
    image = Image.fromarray(NOISE)
    more: dict[str, Any] = {}
    if kind == "GIF":
        image = image.convert("P")
        more["transparency"] = 3
    if kind in ("JPEG", "TIFF", "WEBP", "PNG", "AVIF"):
        exif = Image.Exif()
        exif[0x0112], exif[0x010E] = 6, "a note"
        more["exif"] = exif
    if kind in ("JPEG", "PNG"):
        from PIL import ImageCms

        more["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    image.save(buffer, kind, **more)
    return buffer.getvalue()


def read(source: Any) -> str:
    """Read an image; the error's message, or nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = read_image(source)
        except ImageError as error:
            message = str(error)
            assert message.isprintable()
            assert 0 < len(message) < 400
            return message
    assert image.mode == "RGB"
    assert np.asarray(image).dtype == np.uint8
    return ""


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_an_image_or_one_line(kind: str, tmp_path: Path) -> None:
    whole, draw = encoded(kind), random.Random(0)
    path = tmp_path / "x.bin"
    path.write_bytes(whole)
    assert read(path) == ""
    said = 0
    for _ in range(120):
        data = bytearray(whole)
        change = draw.random()
        if change < 0.3:
            del data[draw.randrange(len(data)) :]
        else:
            # The head is where sizes, palettes and offsets stand.
            end = min(len(data), 300) if change < 0.8 else len(data)
            for _ in range(draw.choice([1, 2, 8])):
                data[draw.randrange(end)] = draw.choice([0, 255, draw.randrange(256)])
        path.write_bytes(bytes(data))
        said += bool(read(path))
    assert said > 5


@pytest.mark.parametrize(
    "raised",
    [
        *(struct.error("x"), OverflowError("x\ny"), TypeError(), RecursionError("deep")),
        *(KeyError("k"), IndexError("i"), MemoryError(), AssertionError(), ZeroDivisionError("z")),
        *(
            AttributeError("a\x1b[31m"),
            NotImplementedError("n"),
            UnicodeDecodeError("u", b"", 0, 1, "r"),
        ),
    ],
    ids=lambda e: type(e).__name__,
)
def test_whatever_a_decoder_raises_is_one_line(raised: Exception) -> None:
    image = Image.fromarray(NOISE)

    def load() -> None:
        raise raised

    image.load = load  # type: ignore[assignment, method-assign]
    message = read(image)
    assert "damaged or cut short" in message


def test_a_broken_exif_block_leaves_the_image_as_it_is(tmp_path: Path) -> None:
    image = Image.fromarray(NOISE)
    image.getexif = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
    with pytest.warns(WhyclipWarning, match="broken EXIF block"):
        result = read_image(image)
    assert np.array_equal(np.asarray(result), NOISE)


def test_a_broken_profile_is_left_out() -> None:
    image = Image.fromarray(NOISE).convert("CMYK")
    image.info["icc_profile"] = b"\x00\x01broken"
    assert read(image) == ""
    image.info["icc_profile"] = 3
    assert read(image) == ""


def odd_tensors() -> dict[str, Any]:
    plain = torch.rand(3, 8, 8)
    return {
        "sparse": plain.to_sparse(),
        "sparse csr": plain[0].to_sparse_csr(),
        "nested": torch.nested.nested_tensor([plain, plain]),
        "nested jagged": torch.nested.nested_tensor([plain[0], plain[0]], layout=torch.jagged),
        "meta": plain.to("meta"),
        "complex": plain.to(torch.complex64),
        "empty": torch.zeros(3, 0, 0),
        "no axes": torch.tensor(1.0),
        "int64": torch.zeros(3, 8, 8, dtype=torch.int64),
        "nan": plain / 0 * 0,
        "five axes": torch.zeros(1, 1, 3, 8, 8),
        "batch": torch.zeros(2, 3, 8, 8),
        "objects": np.full((8, 8, 3), None, dtype=object),
        "strings": np.full((8, 8, 3), "x"),
        "dates": np.zeros((8, 8, 3), dtype="datetime64[s]"),
        "records": np.zeros((8, 8), dtype=[("a", "f4"), ("b", "i4")]),
        "complex array": np.zeros((8, 8, 3), complex),
        "empty array": np.zeros((0, 0, 3)),
        "int8": np.zeros((8, 8, 3), np.int8),
        "void": np.zeros((8, 8, 3), dtype="V4"),
        "closed": closed(),
        "number": 3,
        "mapping": {"a\n": 1},
        "nothing": None,
        "bytes": b"\x89PNG",
        "raising repr": Raising(),
        "nul": "a\0b.png",
        "surrogate": "\udcff.png",
        "controls": "a\n\x1b[31m.png",
        "long": "x" * 5000,
        "url": "https://example.com/" + "x" * 500,
        "other host": "file://elsewhere/x.png",
    }


class Raising:
    def __repr__(self) -> str:
        raise ValueError("no\nrepr")


def closed() -> Image.Image:
    image = Image.open(io.BytesIO(encoded("PNG")))
    image.close()
    return image


@pytest.mark.parametrize("name", odd_tensors())
def test_what_is_no_image_is_one_line(name: str) -> None:
    message = read(odd_tensors()[name])
    assert message
    assert "damaged" not in message or name in ("closed", "nested jagged")


@pytest.mark.filterwarnings("ignore:.*quantized.*")
def test_a_quantized_tensor_is_one_line() -> None:
    try:
        quantized = torch.quantize_per_tensor(torch.rand(3, 8, 8), 0.1, 0, torch.quint8)
    except (AttributeError, RuntimeError):
        pytest.skip("this torch has none")
    assert "quantized" in read(quantized)


@pytest.mark.parametrize("kind", [np.matrix, np.ma.masked_array])
def test_arrays_of_other_classes_are_arrays(kind: Any) -> None:
    assert np.array_equal(
        np.asarray(read_image(kind(NOISE[..., 0]))), np.asarray(read_image(NOISE[..., 0]))
    )


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        *((form, str) for form in ("file://{}", "file://localhost{}", "FILE://LOCALHOST{}")),
        *((form, kind) for form in ("file:{}", "FILE://{}") for kind in (str, Path)),
    ],
)
def test_a_file_address_is_read(written: str, kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "a photo #1 100% ü.png"
    Image.fromarray(NOISE).save(path)
    address = kind(written.format(path.as_uri().removeprefix("file://")))
    image = read_image(address)
    assert np.array_equal(np.asarray(image), NOISE)
    with pytest.raises(ImageError, match="no such file"):
        read_image(f"file://{tmp_path}/none.png")


def test_a_narrow_range_is_noted_and_left_alone(tmp_path: Path) -> None:
    twelve = np.random.default_rng(1).integers(0, 4096, (16, 16)).astype(np.uint16)
    Image.fromarray(twelve).save(tmp_path / "twelve.png")
    Image.fromarray(twelve.astype(np.float32) / 1e6).save(tmp_path / "float.tif")
    Image.fromarray(twelve.astype(np.float32) / 900).save(tmp_path / "beyond one.tif")
    for source, top in [
        (tmp_path / "twelve.png", "65535"),
        (twelve, "65535"),
        (torch.from_numpy(twelve), "65535"),
        (tmp_path / "float.tif", "1,"),
        (tmp_path / "beyond one.tif", "255"),
    ]:
        with pytest.warns(WhyclipWarning, match=f"of 0 to {top}.*almost one shade"):
            image = read_image(source)
        assert np.asarray(image).max() <= 16
    # What has its whole range, or one value only, is what it is.
    for fine in (twelve * 16, np.full((16, 16), 65535, np.uint16), np.zeros((16, 16), np.uint16)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read_image(fine)


def test_stretched_values_are_noted() -> None:
    values = np.linspace(-5, 70000, 64, dtype=np.float32).reshape(8, 8)
    with pytest.warns(WhyclipWarning, match=r"from -5 to 70000, which are stretched"):
        image = read_image(Image.fromarray(values))
    assert np.asarray(image).min() == 0
    assert np.asarray(image).max() == 255


def test_a_note_points_at_the_callers_own_line() -> None:
    with pytest.warns(WhyclipWarning) as caught:
        read_image(np.arange(64, dtype=np.uint16).reshape(8, 8))
    assert caught[0].filename == __file__
