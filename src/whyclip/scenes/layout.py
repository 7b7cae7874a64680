"""Layouts of scenes, drawn from their seeds in batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from whyclip.errors import OptionError, check_choice
from whyclip.scenes.sprites import Atlas

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
HeldOut = Literal["never", "only", "any"]

SIDE = 224
MAX_OBJECTS = 4
SIZES = (42.0, 60.0)
TINTED_SHARE = 0.35
MAX_ANGLE = 12.0
_TRIES = 8
_DRAWS = 160


def uniforms(keys: np.ndarray, draws: int) -> np.ndarray:
    """Return `[len(keys), draws]` uniform numbers in 0..1, a pure function of each key.

    Uses a counter hash (SplitMix64, Steele et al. 2014) instead of a stateful generator: row `i`
    does not depend on other keys, so a batch equals its scenes one by one.
    """
    with np.errstate(over="ignore"):
        z = keys.astype(np.uint64)[:, None] * np.uint64(0xD1342543DE82EF95)
        z = z + np.arange(1, draws + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def keys_of(seeds: np.ndarray, split: Split) -> np.ndarray:
    """Convert seeds of a split to keys; keys of different splits are disjoint.

    Raises:
        OptionError: unknown split, or a seed is negative or above 2**60.
    """
    check_choice("split", split, SPLITS)
    if seeds.size and (seeds.min() < 0 or seeds.max() >= 2**60):
        raise OptionError(f"seeds must be in 0 .. 2**60 - 1, got {seeds.min()} .. {seeds.max()}")
    return seeds.astype(np.uint64) * np.uint64(len(SPLITS)) + np.uint64(SPLITS.index(split))


@dataclass
class Layout:
    """Parameters of a batch of scenes; absent objects have `concept` -1.

    Attributes:
        concept, style, variant, colour: int `[b, k]`; colour -1 is the sprite's own.
        x, y, size, angle: float `[b, k]`, centre and side in pixels, degrees.
        flip: bool `[b, k]`, mirrored left to right.
        grid: float `[b, 3, 4, 4]`, smooth background colours, 0..1.
        wave: float `[b, 6]`, stripes: amplitude per channel, two frequencies, phase.
        grain: float `[b, 3]`, noise amplitude and the offset of its tile.
        words: float `[b, 32]`, uniform numbers for the caption.
    """

    concept: np.ndarray
    style: np.ndarray
    variant: np.ndarray
    colour: np.ndarray
    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    flip: np.ndarray
    grid: np.ndarray
    wave: np.ndarray
    grain: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.concept)

    def rows(self, which: np.ndarray) -> Layout:
        """Return the scenes with these indices, in this order."""
        return Layout(**{name: array[which] for name, array in vars(self).items()})

    def one_by_one(self) -> tuple[np.ndarray, Layout]:
        """Return the original scene's index, and a layout with one scene, for each object."""
        rows, slots = np.nonzero(self.concept >= 0)
        alone = self.rows(rows)
        for name in _PER_OBJECT:
            setattr(alone, name, getattr(self, name)[rows, slots][:, None])
        return rows, alone


# Fields with one entry per object; the others have one per scene.
_PER_OBJECT = ("concept", "style", "variant", "colour", "x", "y", "size", "angle", "flip")


class _Tape:
    """Return the columns of a table of uniform numbers one by one."""

    def __init__(self, table: np.ndarray) -> None:
        self.table, self.at = table, 0

    def take(self, *shape: int) -> np.ndarray:
        n = int(np.prod(shape))
        self.at += n
        return self.table[:, self.at - n : self.at].reshape(len(self.table), *shape)


def sample_layouts(
    atlas: Atlas,
    keys: np.ndarray,
    *,
    objects: tuple[int, int] = (1, MAX_OBJECTS),
    held_out: HeldOut = "never",
    colours: int = 8,
    tinted: float = TINTED_SHARE,
    side: int = SIDE,
    concepts: int | None = None,
) -> Layout:
    """Draw the layouts of the scenes with these keys.

    Args:
        atlas: the sprites.
        keys: uint64 `[b]`, see `keys_of`.
        objects: minimum and maximum number of objects, 1..4.
        held_out: whether concept-style pairs that training never shows are excluded ("never"),
            used exclusively ("only") or included ("any").
        colours: number of tints.
        tinted: share of the objects that are tinted, 0..1.
        side: width and height of the scene in pixels.
        concepts: number of first concepts of the atlas to use; None for all.

    Raises:
        OptionError: objects, tinted or concepts out of range, or unknown held_out.
    """
    low, high = objects
    if not 1 <= low <= high <= MAX_OBJECTS:
        raise OptionError(f"objects must be within 1..{MAX_OBJECTS}, got {objects}")
    if not 0 <= tinted <= 1:
        raise OptionError(f"tinted must be within 0..1, got {tinted}")
    check_choice("held_out", held_out, ("never", "only", "any"))
    if concepts is not None and not high <= concepts <= len(atlas.names):
        raise OptionError(f"concepts must be within {high}..{len(atlas.names)}, got {concepts}")
    b, k = len(keys), MAX_OBJECTS
    tape = _Tape(uniforms(keys, _DRAWS))
    number = low + (tape.take(1)[:, 0] * (high - low + 1)).astype(int)
    concept = _distinct(tape.take(k), atlas, held_out, concepts)
    style = (tape.take(k) * len(atlas.styles)).astype(int)
    barred = atlas.held_out[concept, style]
    if held_out == "never":
        style = np.where(barred, (style + 1) % len(atlas.styles), style)
    elif held_out == "only":
        style = atlas.held_out[concept].argmax(-1)
    variant = atlas.first[concept] + (tape.take(k) * atlas.count[concept]).astype(int)
    dyed = tape.take(k) < tinted
    colour = np.where(dyed, (tape.take(k) * colours).astype(int), -1)
    size = SIZES[0] + tape.take(k) * (SIZES[1] - SIZES[0])
    x, y = _places(tape.take(k, _TRIES, 2), size, side)
    angle = (tape.take(k) * 2 - 1) * MAX_ANGLE
    flip = tape.take(k) < 0.5
    grid, wave, grain = _background(tape, b)
    words = tape.take(32)
    absent = np.arange(k) >= number[:, None]
    return Layout(
        np.where(absent, -1, concept), style, variant, colour, x, y, size, angle, flip,
        grid, wave, grain, words,
    )  # fmt: skip


def _distinct(
    u: np.ndarray, atlas: Atlas, held_out: HeldOut, concepts: int | None = None
) -> np.ndarray:
    """Draw distinct concepts per scene, so that each phrase matches one object."""
    pool = np.arange(len(atlas.names) if concepts is None else concepts)
    if held_out == "only":
        pool = pool[atlas.held_out[pool].any(1)]
    if len(pool) < u.shape[1]:
        raise OptionError(
            f"concepts={concepts} leaves {len(pool)} concepts to draw; a scene needs {u.shape[1]}"
        )
    chosen = np.zeros(u.shape, dtype=int)
    for j in range(u.shape[1]):
        pick = (u[:, j] * (len(pool) - j)).astype(int)
        # Skipping taken concepts in ascending order keeps the draw uniform.
        for i in range(j):
            pick += pick >= np.sort(chosen[:, :j], axis=1)[:, i]
        chosen[:, j] = pick
    return pool[chosen]


def _places(u: np.ndarray, size: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Choose centres that rarely overlap: the first candidate far enough, else the farthest."""
    b, k, tries, _ = u.shape
    half = size[:, :, None, None] / 2
    tried = half + u * (side - 2 * half)
    place = np.zeros((b, k, 2))
    for j in range(k):
        gap = np.full((b, tries), np.inf)
        for i in range(j):
            away = np.abs(tried[:, j] - place[:, i, None]).max(-1)
            gap = np.minimum(gap, away / ((size[:, i] + size[:, j]) / 2)[:, None])
        best = np.where((gap >= 0.9).any(1), (gap >= 0.9).argmax(1), gap.argmax(1))
        place[:, j] = tried[np.arange(b), j, best]
    return place[..., 0], place[..., 1]


def _background(tape: _Tape, b: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw flat, graded, blotchy, striped and grainy backgrounds."""
    kind = tape.take(1)[:, 0]
    base, other = tape.take(3), tape.take(3)
    blot = tape.take(3, 2, 2)
    turn = tape.take(1)[:, 0] * 2 * np.pi
    steps = np.linspace(-1, 1, 4)
    ramp = np.cos(turn)[:, None, None] * steps[:, None] + np.sin(turn)[:, None, None] * steps
    grid = np.broadcast_to(base[:, :, None, None], (b, 3, 4, 4)).copy()
    graded = (kind > 0.3) & (kind < 0.6)
    slope = (other - base)[:, :, None, None] * (0.5 + 0.4 * ramp[:, None])
    grid[graded] += slope[graded]
    blotchy = kind >= 0.6
    spots = np.repeat(np.repeat(blot, 2, 2), 2, 3) - 0.5
    grid[blotchy] += 0.6 * spots[blotchy]
    wave = np.zeros((b, 6))
    striped = tape.take(1)[:, 0] < 0.25
    wave[:, :3] = (tape.take(3) - 0.5) * 0.35 * striped[:, None]
    wave[:, 3:5] = (tape.take(2) - 0.5) * 0.9
    wave[:, 5] = tape.take(1)[:, 0] * 2 * np.pi
    grain = tape.take(3)
    grain[:, 0] = np.where(grain[:, 0] < 0.3, grain[:, 0] * 0.4, 0)
    return grid.clip(0.03, 0.97), wave, grain
