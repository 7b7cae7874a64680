"""Images in vector files, at their own resolution and each stored once."""

from __future__ import annotations

import re
from functools import cache, cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL import Image

_IMAGE = re.compile(r"<image\b[^>]*?/>", re.DOTALL)
_ATTRIBUTE = re.compile(r'([\w:]+)="([^"]*)"', re.DOTALL)
_KEPT = ("transform", "x", "y", "width", "height")


class Pixels:
    """The pixels of an image, ``[H, W, 3]`` (``upright``)."""

    def __init__(self, image: Image.Image) -> None:
        self.upright: NDArray[np.uint8] = np.asarray(image.convert("RGB"))

    @cached_property
    def turned(self) -> NDArray[np.uint8]:
        """``[H, W, 4]`` upside down, as renderers expect images.

        Cached, because the PDF backend stores the same array only once.
        """
        opaque = np.full((*self.upright.shape[:2], 1), 255, np.uint8)
        return np.ascontiguousarray(np.concatenate([self.upright, opaque], -1)[::-1])


@cache
def _artist() -> type[Any]:
    from matplotlib.image import AxesImage
    from matplotlib.transforms import Affine2D

    class Embedded(AxesImage):
        """An image that PDF and SVG files contain without resampling."""

        pixels: Pixels

        def draw(self, renderer: Any) -> None:
            if not renderer.option_scale_image():
                super().draw(renderer)
                return
            box = self.axes.bbox
            context = renderer.new_gc()
            scaled = Affine2D().scale(box.width, box.height)
            renderer.draw_image(context, box.x0, box.y0, self.pixels.turned, scaled)
            context.restore()

    return Embedded


def embed(panel: Axes, pixels: Pixels) -> None:
    """Fill a panel with an image; panels that show the same image get the same pixels."""
    height, width = pixels.upright.shape[:2]
    image = _artist()(panel, interpolation="antialiased", extent=(0, width, height, 0))
    image.pixels = pixels
    image.set_data(pixels.upright)
    image.set_clip_path(panel.patch)
    panel.set(xlim=(0, width), ylim=(height, 0))
    panel.add_image(image)


def stored_once(svg: str) -> str:
    """Store each image of an SVG once, as a symbol that its uses refer to."""
    seen: dict[str, int] = {}
    for match in _IMAGE.finditer(svg):
        data = dict(_ATTRIBUTE.findall(match[0]))["xlink:href"]
        seen[data] = seen.get(data, 0) + 1
    defined: set[str] = set()

    def place(match: re.Match[str]) -> str:
        given = dict(_ATTRIBUTE.findall(match[0]))
        data = given["xlink:href"]
        if seen[data] == 1:
            return match[0]
        name = f"image-{sha256(data.encode()).hexdigest()[:12]}"
        symbol = ""
        if name not in defined:
            defined.add(name)
            symbol = (
                f'<symbol id="{name}" viewBox="0 0 1 1" preserveAspectRatio="none">'
                f'<image width="1" height="1" preserveAspectRatio="none" xlink:href="{data}"/>'
                "</symbol>"
            )
        where = " ".join(f'{key}="{given[key]}"' for key in _KEPT if key in given)
        return f'{symbol}<use xlink:href="#{name}" {where}/>'

    return _IMAGE.sub(place, svg)
