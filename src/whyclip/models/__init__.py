"""Model views: the user's unmodified model as two encoders ("towers" in the code)."""

from whyclip.models.image_inputs import model_inputs
from whyclip.models.load import load, wrap
from whyclip.models.tower import Block, ImageTower, Stream, TextTower, Tower
from whyclip.models.view import ModelView

__all__ = [
    "Block",
    "ImageTower",
    "ModelView",
    "Stream",
    "TextTower",
    "Tower",
    "load",
    "model_inputs",
    "wrap",
]
