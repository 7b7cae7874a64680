"""Render batches of layouts to pixels on any device, with visibility masks."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from whyclip.scenes.layout import Layout
from whyclip.scenes.sprites import Atlas

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.10, 0.12),
    "orange": (1.00, 0.52, 0.05),
    "yellow": (0.98, 0.86, 0.10),
    "green": (0.14, 0.66, 0.20),
    "blue": (0.12, 0.32, 0.90),
    "purple": (0.54, 0.18, 0.78),
    "pink": (1.00, 0.50, 0.74),
    "grey": (0.52, 0.52, 0.52),
}
VISIBLE = 0.5
_WINDOW = 84
_TILE = 256


def tint(premultiplied: torch.Tensor, colour: torch.Tensor) -> torch.Tensor:
    """Tint each sprite in one colour and keep light and shade.

    Args:
        premultiplied: `[n, 4, h, w]`, colours premultiplied by alpha, 0..1.
        colour: `[n, 3]`, 0..1; a row of NaN keeps the sprite's own colours.
    """
    painted = ~colour.isnan().any(1)
    if not painted.any():
        return premultiplied
    chosen = premultiplied[painted]
    alpha = chosen[:, 3:]
    weights = chosen.new_tensor([0.30, 0.59, 0.11]).view(1, 3, 1, 1)
    light = (chosen[:, :3] * weights).sum(1, keepdim=True) / alpha.clamp_min(1e-3)
    hue = colour[painted][:, :, None, None]
    # Shades from 35 % of the colour to 70 % of the way to white, so the colour stays recognisable.
    shaded = hue * (0.35 + 1.3 * light.clamp(max=0.5))
    lit = hue + (1 - hue) * (light - 0.5).clamp_min(0) * 1.2
    out = premultiplied.clone()
    out[painted, :3] = torch.where(light < 0.5, shaded, lit).clamp(0, 1) * alpha
    return out


@lru_cache(maxsize=4)
def _grain_tile(device: torch.device) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return (torch.rand(3, _TILE * 3, _TILE * 3, generator=generator) - 0.5).to(device)


@lru_cache(maxsize=16)
def _bicubic(cells: int, pixels: int) -> torch.Tensor:
    """Return the `[pixels, cells]` matrix of smooth upsampling."""
    eye = torch.eye(cells).view(1, cells, 1, cells)
    return F.interpolate(eye, (1, pixels), mode="bicubic", align_corners=True)[0, :, 0].T


def background(
    layout: Layout,
    height: int,
    width: int,
    origin: np.ndarray,
    full: tuple[int, int],
    device: torch.device,
) -> torch.Tensor:
    """Draw backgrounds `[b, 3, height, width]`: the part of each scene at `origin` (y, x)."""
    grid = torch.as_tensor(layout.grid, dtype=torch.float32, device=device)
    wave = torch.as_tensor(layout.wave, dtype=torch.float32, device=device)
    at = torch.as_tensor(origin, device=device)
    ys = at[:, :1] + torch.arange(height, device=device)
    xs = at[:, 1:] + torch.arange(width, device=device)
    up = _bicubic(4, full[0]).to(device)[ys]
    across = _bicubic(4, full[1]).to(device)[xs]
    # sin(a y + b x + p) has rank 2 in (y, x), so stripes are part of the same matrix product.
    phase_y = ys * wave[:, 3:4]
    phase_x = xs * wave[:, 4:5] + wave[:, 5:6]
    left = torch.cat([up, phase_y.sin()[..., None], phase_y.cos()[..., None]], -1)
    smooth = grid @ across.transpose(1, 2)[:, None]
    stripes = torch.stack([phase_x.cos(), phase_x.sin()], 1)[:, None] * wave[:, :3, None, None]
    columns = torch.cat([smooth, stripes], 2).transpose(1, 2).flatten(2)
    canvas = (left @ columns).unflatten(2, (3, width)).transpose(1, 2)
    tile = _grain_tile(device)
    for i in np.flatnonzero(layout.grain[:, 0]):
        amount, dy, dx = layout.grain[i]
        y = int(dy * _TILE) + int(origin[i, 0]) % _TILE
        x = int(dx * _TILE) + int(origin[i, 1]) % _TILE
        down = torch.arange(y, y + height, device=device) % tile.shape[1]
        right = torch.arange(x, x + width, device=device) % tile.shape[2]
        canvas[i] += float(amount) * tile[:, down[:, None], right]
    return canvas.clamp_(0, 1)


def _sample(
    layout: Layout,
    rows: np.ndarray,
    slots: np.ndarray,
    origin: np.ndarray,
    extent: int,
    pixels: torch.Tensor,
) -> torch.Tensor:
    """Draw each object into its `[n, 4, extent, extent]` window with corner `origin` (y, x)."""
    device = pixels.device

    def of(a: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(a[rows, slots], dtype=torch.float32, device=device)

    sprite = pixels[layout.style[rows, slots], layout.variant[rows, slots]]
    corner = torch.as_tensor(origin, dtype=torch.float32, device=device)
    steps = torch.arange(extent, dtype=torch.float32, device=device) + 0.5
    dx = (corner[:, 1:] + steps - of(layout.x)[:, None])[:, None, :]
    dy = (corner[:, :1] + steps - of(layout.y)[:, None])[:, :, None]
    turn = (of(layout.angle) * (math.pi / 180))[:, None, None]
    scale = (2 / of(layout.size))[:, None, None]
    mirror = torch.where(of(layout.flip) > 0, -1.0, 1.0)[:, None, None]
    gx = (turn.cos() * dx + turn.sin() * dy) * scale * mirror
    gy = (turn.cos() * dy - turn.sin() * dx) * scale
    palette = torch.tensor([*COLOURS.values(), (math.nan,) * 3], device=device)
    painted = tint(sprite, palette[layout.colour[rows, slots]])
    grid = torch.stack([gx, gy], -1)
    return F.grid_sample(painted, grid, mode="bilinear", align_corners=False)


def draw(
    atlas: Atlas, layout: Layout, height: int, width: int, *, device: torch.device | str = "cpu",
    masks: bool = False, canvas: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor | None]:  # fmt: skip
    """Draw whole scenes.

    Args:
        atlas: the sprites.
        layout: layout of b scenes.
        height: height in pixels.
        width: width in pixels.
        device: device to draw on.
        masks: whether to return masks too.
        canvas: background `[1, 3, height, width]` of all scenes, drawn beforehand so that it is
            identical to the last bit; None draws the background of each layout.

    Returns:
        images `[b, 3, height, width]` in 0..1, and, if requested, bool masks
        `[b, k, height, width]` of each object's visible pixels (alpha above one half, later
        objects in front).
    """
    device = torch.device(device)
    b, k = layout.concept.shape
    pixels = atlas.pixels.to(device)
    if canvas is None:
        canvas = background(layout, height, width, np.zeros((b, 2), int), (height, width), device)
    else:
        canvas = canvas.to(device).repeat(b, 1, 1, 1)
    rows, slots = np.nonzero(layout.concept >= 0)
    size = layout.size[rows, slots]
    extent = max(_WINDOW, math.ceil(float(size.max()) * 1.22) if size.size else 0)
    corner = np.stack([layout.y[rows, slots], layout.x[rows, slots]], -1).round().astype(int)
    corner -= extent // 2
    objects = _sample(layout, rows, slots, corner, extent, pixels)
    truth = torch.zeros(b, k, height, width, dtype=torch.bool, device=device) if masks else None
    for drawn, i, j, (top, left) in zip(
        objects, rows.tolist(), slots.tolist(), corner.tolist(), strict=True
    ):
        y0, y1 = max(top, 0), min(top + extent, height)
        x0, x1 = max(left, 0), min(left + extent, width)
        if y0 >= y1 or x0 >= x1:
            continue
        part = drawn[:, y0 - top : y1 - top, x0 - left : x1 - left]
        target = canvas[i, :, y0:y1, x0:x1]
        target.mul_(1 - part[3]).add_(part[:3])
        if truth is not None:
            solid = part[3] > VISIBLE
            truth[i, :j, y0:y1, x0:x1] &= ~solid
            truth[i, j, y0:y1, x0:x1] = solid
    return canvas.clamp_(0, 1), truth


def draw_crops(
    atlas: Atlas,
    layout: Layout,
    origin: np.ndarray,
    extent: int,
    *,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Draw only the first object, in a square of `extent` pixels at `origin` (y, x) `[b, 2]`.

    Cheap images of single objects for the first stage of training, `[b, 3, extent, extent]`.
    """
    device = torch.device(device)
    rows = np.arange(len(layout))
    canvas = background(layout, extent, extent, origin, (224, 224), device)
    origins, pixels = np.asarray(origin), atlas.pixels.to(device)
    drawn = _sample(layout, rows, np.zeros_like(rows), origins, extent, pixels)
    return canvas.mul_(1 - drawn[:, 3:]).add_(drawn[:, :3]).clamp_(0, 1)
