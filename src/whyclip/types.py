"""Small shared types, and the axis letters used in every shape.

``b`` inputs, ``n`` targets, ``l`` layer, ``h`` head, ``t`` token, ``d`` head width,
``w`` model width, ``e`` embedding width, ``gh gw`` patch grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Side = Literal["image", "text"]
GeometryName = Literal["model", "keep", "pad"]
Precision = Literal["fp32", "bf16"]
Engine = Literal["local", "ray"]
Scope = Literal["score", "attention", "features", "baseline", "unverified"]
Check = Literal["auto", "all", "none"]
MaskRule = Literal["share", "clipself"]
TrainingPrecision = Literal["fp32", "bf16", "fp16"]
Resume = Literal["auto", "never"]

SIDES: tuple[Side, ...] = ("image", "text")
# Method name of explanations from ``whyclip.interaction``.
INTERACTION = "interaction"


class Box(NamedTuple):
    """A rectangle in pixels of the original image; it may extend beyond the image."""

    left: float
    top: float
    right: float
    bottom: float


class Point(NamedTuple):
    """A point in pixels of the original image, and the relevance of the patch around it."""

    x: float
    y: float
    relevance: float


@dataclass(frozen=True)
class Geometry:
    """Position of the patch grid on the original image.

    ``width`` and ``height`` are those of the original image in pixels, after its EXIF
    orientation; ``box`` is the rectangle the whole grid covers. Parts of the image outside ``box``
    were cropped away.
    """

    name: GeometryName
    width: int
    height: int
    box: Box


@dataclass(frozen=True)
class Word:
    """A word of a prompt with its relevance, positive or negative for the match.

    ``start`` and ``end`` are character positions in the prompt as the user wrote it.
    ``template`` is the index of its string, if the prompt is an ensemble.
    """

    text: str
    start: int
    end: int
    relevance: float
    template: int = 0
