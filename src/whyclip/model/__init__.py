"""Model views: the user's own, unmodified model as two towers."""

from whyclip.model.load import load, wrap
from whyclip.model.model_view import ModelView
from whyclip.model.pictures import model_inputs
from whyclip.model.view import Block, ImageTower, Stream, TextTower, Tower

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
