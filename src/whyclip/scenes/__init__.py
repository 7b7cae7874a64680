"""Controlled scenes: pictures whose content, places and colours are known to the pixel."""

from whyclip.scenes.drawing import COLOURS
from whyclip.scenes.scene import (
    Scene,
    SceneObject,
    Scenes,
    compose_scene,
    concepts,
    make_scene,
)

__all__ = [
    "COLOURS",
    "Scene",
    "SceneObject",
    "Scenes",
    "compose_scene",
    "concepts",
    "make_scene",
]
