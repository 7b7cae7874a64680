"""Draw images: arrays, tensors, PIL images, and intact or damaged files of every kind."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageCms

from benchmarks.fuzz.draw import Draw

MODES = ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "I", "F", "YCbCr", "HSV", "LAB", "PA")
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "I"),
    "JPEG": ("RGB", "L", "CMYK", "YCbCr"),
    "GIF": ("P", "L", "RGB", "RGBA"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "I;16", "F", "I", "CMYK", "LAB", "1", "P", "YCbCr"),
    "BMP": ("RGB", "L", "1", "P"),
    "PPM": ("RGB", "L", "1", "I"),
    "ICO": ("RGBA",),
    "TGA": ("RGB", "RGBA", "L", "P"),
    "PCX": ("RGB", "L", "P"),
    "JPEG2000": ("RGB", "RGBA", "L"),
    "AVIF": ("RGB", "RGBA"),
    "DDS": ("RGB", "RGBA"),
    "SGI": ("RGB", "L"),
}
BAD: tuple[Any, ...] = (
    *(None, 3, b"x", "", "no/such/file.png", "\x00", "x" * 5000, Path("/"), object(), [], {}),
    *(np.zeros((0, 4, 3)), np.zeros((8, 8, 2)), np.zeros((8, 8, 3), complex), np.zeros(5)),
    *(np.full((9, 9, 3), np.nan), np.full((9, 9, 3), -1.0), np.full((9, 9), "a", object)),
    *(np.zeros((9, 9, 3), np.int64), np.full((9, 9, 3), 7.5), torch.zeros(3, 9, 9).to_sparse()),
    *(
        torch.zeros(3, 9, 9, device="meta"),
        torch.full((3, 9, 9), math.inf),
        torch.zeros(1, 3, 9, 9),
    ),
    *(
        Image.new("RGB", (1, 9)),
        Image.new("RGB", (4, 900)),
        "file:///nowhere.png",
        "http://x/y.png",
    ),
)


def size(draw: Draw) -> tuple[int, int]:
    if draw.odds(0.05):
        return draw.choice(((4, 4), (3, 40), (4, 190), (200, 4), (5, 8)))
    return draw.randint(6, 72), draw.randint(6, 72)


def pixels(draw: Draw, channels: int = 3) -> np.ndarray:
    """Draw noise, a ramp, one colour, or a coarse pattern: ``[height, width, channels]`` uint8."""
    width, height = size(draw)
    rng, kind = draw.array(), draw.random()
    if kind < 0.08:
        return np.full((height, width, channels), draw.choice((0, 128, 255)), np.uint8)
    if kind < 0.2:
        ramp = np.linspace(0, 255, width * height * channels)
        return ramp.reshape(height, width, channels).astype(np.uint8)
    coarse = rng.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    grain = rng.integers(0, draw.choice((1, 60)), (height, width, channels))
    return np.clip(coarse[rows][:, columns].astype(int) + grain, 0, 255).astype(np.uint8)


def image(draw: Draw, mode: str | None = None) -> Image.Image:
    mode = mode or draw.choice(MODES)
    if mode in ("I;16", "I", "F"):
        grey = pixels(draw, 1)[:, :, 0].astype(np.float64) * draw.choice((1, 257, 4, 1 / 255))
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        return Image.fromarray(grey.astype(kind))
    rgb = Image.fromarray(pixels(draw))
    if mode == "PA":
        return rgb.convert("P").convert("PA")
    if mode == "LAB":
        return Image.frombytes("LAB", rgb.size, rgb.tobytes())
    return rgb.convert(mode)


def source(draw: Draw) -> Any:
    """Draw an image in a form that a caller in Python might pass."""
    kind = draw.random()
    if kind < 0.1:
        return draw.choice(BAD)
    if kind < 0.4:
        return image(draw)
    values: Any = pixels(draw, draw.choice((1, 3, 3, 3, 4)))
    scale = draw.random()
    if scale < 0.3:
        values = (values / 255).astype(draw.choice((np.float32, np.float64, np.float16)))
    elif scale < 0.4:
        values = values.astype(np.uint16) * 257
    elif scale < 0.45:
        values = values > 127
    if draw.odds(0.3):
        values = values.transpose(2, 0, 1)
    if draw.odds(0.2):
        values = values[:, ::-1]
    if kind < 0.7 or values.dtype == np.uint16:
        return values
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if tensor.is_floating_point():
        tensor = tensor.to(draw.choice((torch.float32, torch.bfloat16, torch.float64)))
        return tensor.requires_grad_(draw.odds(0.3))
    return tensor


def file(draw: Draw, folder: Path) -> Path:
    """Write an image file, damaged in four of five draws."""
    kind = draw.choice(list(FORMATS))
    picture = image(draw, draw.choice(FORMATS[kind]))
    more: dict[str, Any] = {}
    if draw.odds(0.3):
        exif = Image.Exif()
        exif[0x0112] = draw.choice((*range(1, 9), 0, 9, 77))
        more["exif"] = exif.tobytes() if draw.odds(0.7) else draw.randbytes(30)
    if draw.odds(0.3):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        more["icc_profile"] = damaged(draw, profile) if draw.odds(0.6) else profile
    if kind in ("GIF", "PNG", "WEBP", "TIFF") and draw.odds(0.15):
        more |= {"save_all": True, "append_images": [picture.copy()]}
    if picture.mode in ("P", "L", "RGB") and kind == "PNG" and draw.odds(0.3):
        more["transparency"] = draw.choice((0, 7)) if picture.mode != "RGB" else (1, 2, 3)
    if kind == "JPEG" and draw.odds(0.3):
        more["progressive"] = True
    content = encoded(picture, kind, more) or encoded(picture, kind, {}) or b"none"
    if draw.odds(0.8):
        content = damaged(draw, content)
    ending = draw.choice((".png", ".jpg", ".gif", ".txt", "")) if draw.odds(0.3) else f".{kind}"
    path = folder / f"image{ending.lower()}"
    path.write_bytes(content)
    return path


def encoded(picture: Image.Image, kind: str, more: dict[str, Any]) -> bytes | None:
    """Encode an image; None if Pillow cannot write it."""
    held = BytesIO()
    try:
        picture.save(held, format=kind, **more)
    except Exception:  # noqa: BLE001 - images that Pillow cannot write are skipped
        return None
    return held.getvalue()


def damaged(draw: Draw, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8))):
        at = draw.randrange(len(data) + 1)
        head = draw.randrange(min(len(data), 120) + 1)
        match draw.randrange(7):
            case 0:
                del data[at:]
            case 1 | 2:
                # Most bytes that decoders depend on are near the start.
                for place in (at, head, head // 2):
                    if place < len(data):
                        data[place] ^= 1 << draw.randrange(8)
            case 3:
                data[at : at + 8] = bytes(len(data[at : at + 8]))
            case 4:
                data[head:head] = draw.randbytes(draw.randint(1, 9))
            case 5:
                del data[head : head + draw.randint(1, 9)]
            case 6:
                data[head : head + 4] = b"\xff" * len(data[head : head + 4])
    return bytes(data)
