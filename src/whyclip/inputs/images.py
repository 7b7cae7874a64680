"""Read any image as upright RGB, or raise a one-line error."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.request import url2pathname

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from whyclip.errors import ImageError, WhyclipError, quoted, reason, warn

# Footprint of the bicubic kernel.
MIN_SIDE = 4
# Beyond it, a centre crop shows less than 2 % of the image.
MAX_ASPECT = 50
# Share of the 16-bit range that gives at most 16 shades.
NARROW = 1 / 16

ImageSource = str | Path | Image.Image | np.ndarray | torch.Tensor

_CHANNELS = (1, 3, 4)
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")


def read_image(source: ImageSource) -> Image.Image:
    """Read an image as upright RGB with 8 bits per channel.

    Args:
        source: a path or a ``file://`` URL; a PIL image; a numpy array ``[H, W]``,
            ``[H, W, 1 | 3 | 4]`` or ``[1 | 3 | 4, H, W]``; or a torch tensor
            ``[1 | 3 | 4, H, W]``, ``[H, W, 1 | 3 | 4]`` or ``[H, W]``. Arrays and tensors are
            bool, uint8, uint16, or float from 0 to 1.

    Returns:
        A new RGB image. The EXIF orientation is applied, transparency is composited on white, and
        CMYK is converted by its embedded colour profile, if any. The first frame of an animation is
        used. 16-bit grey is divided by 257. 32-bit integer grey is taken as 8-bit up to 255 and as
        16-bit up to 65535; other values are stretched from the smallest to the largest. The same
        holds for float grey, which may also have the range 0 to 1.

    Warns:
        WhyclipWarning: the values were stretched, or cover so little of their range that the image
            is almost one shade, or the EXIF block is broken.

    Raises:
        ImageError: unreadable, an unknown type, NaN or out-of-range values, a
            side below ``MIN_SIDE`` pixels, or an aspect ratio beyond ``MAX_ASPECT``.
    """
    if isinstance(source, Image.Image):
        with _one_line(name := f"PIL image (mode {source.mode}, {source.width}x{source.height})"):
            return _decode(source, name)
    if isinstance(source, (np.ndarray, torch.Tensor)):
        with _one_line(f"{type(source).__name__} of type {source.dtype}"):
            return _from_array(source)
    if isinstance(source, (str, Path)):
        return _from_path(source)
    raise ImageError(
        f"cannot read an image from {quoted(source)} of type {type(source).__name__}; "
        "give a path, a PIL image, a numpy array or a torch tensor"
    )


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Convert any exception of a decoder to a one-line error."""
    try:
        yield
    except WhyclipError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{name} is not an image that Pillow can read") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name} is too large: {reason(error)}") from None
    except Warning:
        # The caller turned warnings into errors.
        raise
    except Exception as error:
        raise ImageError(f"{name} is damaged or cut short: {reason(error)}") from error


def _from_path(source: str | Path) -> Image.Image:
    name = quoted(str(source))
    path = local_path(str(source), name)
    try:
        if path.is_dir():
            raise ImageError(f"{name} is a folder; give the path of one image file")
        if not path.is_file():
            raise ImageError(f"no such file: {name}")
        if path.stat().st_size == 0:
            raise ImageError(f"{name} is empty (0 bytes)")
        path.open("rb").close()
    # No permission, name too long, or an invalid name.
    except (OSError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        why = getattr(error, "strerror", None) or reason(error)
        raise ImageError(f"{name} cannot be opened: {why}") from None
    with _one_line(name), Image.open(path) as image:
        return _decode(image, name)


def local_path(written: str, name: str) -> Path:
    """Return the path in a ``file://`` URL, or the path itself."""
    scheme, colon, rest = written.partition(":")
    # pathlib merges two slashes.
    if colon and scheme.lower() == "file" and rest.startswith("/"):
        host, _, path = rest[2:].partition("/") if rest.startswith("//") else ("", "", rest[1:])
        if host.lower() not in ("", "localhost"):
            raise ImageError(
                f"{name} is a file on another machine; copy it and give the path of the file"
            )
        return Path(url2pathname(f"/{path}"))
    if "://" in written:
        raise ImageError(f"{name} is a web address; download it and give the path of the file")
    return Path(written)


def _decode(image: Image.Image, name: str) -> Image.Image:
    """Check the size in the header before any pixel is decoded, then convert the image."""
    _check_size(image.width, image.height, name)
    image.load()
    # exif_transpose warns about malformed EXIF blocks.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            upright = ImageOps.exif_transpose(image)
        except Exception:  # noqa: BLE001 - a broken block can raise anything in Pillow
            upright = image
            broken = True
        else:
            broken = False
    if broken:
        warn(f"{name} has a broken EXIF block, so its orientation is unknown; taken as upright")
    return _to_rgb(upright, name)


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode in _SIXTEEN_BIT or image.mode in ("I", "F"):
        return Image.fromarray(_eight_bit(np.asarray(image), image.mode, name)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    if image.mode == "CMYK" and image.info.get("icc_profile"):
        return _through_profile(image)
    return image.convert("RGB")


def _through_profile(image: Image.Image) -> Image.Image:
    try:
        profile = BytesIO(image.info["icc_profile"])
        converted = ImageCms.profileToProfile(
            image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except Exception:  # noqa: BLE001 - the pixels are valid without the broken profile
        converted = None
    return image.convert("RGB") if converted is None else converted


def _eight_bit(values: NDArray[Any], mode: str, name: str) -> NDArray[np.uint8]:
    """Scale one grey channel to 0..255, with the range inferred from its values."""
    grey = values.astype(np.float64)
    if not np.isfinite(grey).all():
        raise ImageError(f"{name} has values that are NaN or infinite")
    low, high = float(grey.min()), float(grey.max())
    ranges = [1.0, 255.0, 65535.0] if mode == "F" else [255.0, 65535.0]
    if mode in _SIXTEEN_BIT:
        ranges = [65535.0]
    top = next((r for r in ranges if low >= 0 and high <= r), None)
    if top is None:
        warn(f"{name} has values from {low:g} to {high:g}, which are stretched to 0 to 255")
        grey, top = grey - low, max(high - low, 1e-12)
    else:
        _note_narrow(low, high, top, name)
    return np.rint(grey * (255.0 / top)).astype(np.uint8)


def _note_narrow(low: float, high: float, top: float, name: str) -> None:
    """Warn about values that cover little of their range, such as 12 bits in a 16-bit file."""
    if 0 < high - low <= top * NARROW:
        warn(
            f"{name} has values from {low:g} to {high:g} of 0 to {top:g}, so the image is "
            "almost one shade; stretch them first if they use fewer bits"
        )


def _from_array(source: np.ndarray | torch.Tensor) -> Image.Image:
    kind = "tensor" if isinstance(source, torch.Tensor) else "array"
    dtype = str(source.dtype).removeprefix("torch.")
    values = _plain(source, dtype) if isinstance(source, torch.Tensor) else np.asarray(source)
    name = f"{kind} of shape {tuple(source.shape)} and type {dtype}"
    values = _channels_last(values, name, first_preferred=kind == "tensor")
    _check_size(values.shape[1], values.shape[0], name)
    pixels = _pixels(values, name)
    if pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return _to_rgb(Image.fromarray(np.ascontiguousarray(pixels)), name)


def _plain(tensor: torch.Tensor, dtype: str) -> NDArray[Any]:
    """Return the values of a tensor of any kind.

    Raises:
        ImageError: it has no values, or is not a plain grid of real numbers.
    """
    kinds = {
        "nested": tensor.is_nested,
        "sparse": tensor.layout != torch.strided,
        "meta": tensor.is_meta,
        "quantized": tensor.is_quantized,
        "complex": tensor.is_complex(),
    }
    unsupported = [kind for kind, is_one in kinds.items() if is_one]
    if unsupported:
        raise ImageError(
            f"cannot read an image from a {unsupported[0]} tensor of type {dtype}; give a plain "
            "tensor of uint8 (0 to 255) or float (0 to 1)"
        )
    plain = tensor.detach().cpu()
    return (plain.float() if plain.is_floating_point() else plain).resolve_neg().numpy()


def _channels_last(values: NDArray[Any], name: str, *, first_preferred: bool) -> NDArray[Any]:
    if values.ndim == 2:
        return values[:, :, None]
    if values.ndim == 3:
        order = (0, 2) if first_preferred else (2, 0)
        for axis in order:
            if values.shape[axis] in _CHANNELS:
                return np.moveaxis(values, axis, 2)
    raise ImageError(
        f"cannot read an image from an {name}; expected [H, W] or three axes of which "
        "one has 1, 3 or 4 channels, first or last, and one image at a time"
    )


def _pixels(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        _note_narrow(float(values.min()), float(values.max()), 65535.0, f"the {name}")
        return np.rint(values / 257.0).astype(np.uint8)
    if not np.issubdtype(values.dtype, np.floating):
        raise ImageError(
            f"cannot read an image from an {name}; convert it to uint8 (0 to 255), "
            "uint16 (0 to 65535) or float (0 to 1)"
        )
    if not np.isfinite(values).all():
        raise ImageError(f"the {name} has values that are NaN or infinite")
    low, high = float(values.min()), float(values.max())
    slack = 1e-3
    if low < -slack or high > 1 + slack:
        raise ImageError(
            f"the {name} has values from {low:.4g} to {high:.4g}; float images range from 0 to 1"
        )
    return np.rint(np.clip(values.astype(np.float64), 0, 1) * 255).astype(np.uint8)


def _check_size(width: int, height: int, name: str) -> None:
    short, long = sorted((width, height))
    if short < MIN_SIDE:
        raise ImageError(
            f"{name} is {width}x{height} pixels; each side must have at least {MIN_SIDE}"
        )
    if long > MAX_ASPECT * short:
        raise ImageError(f"{name} is {width}x{height} pixels, longer than {MAX_ASPECT}:1; crop it")
