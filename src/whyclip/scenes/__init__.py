"""Synthetic scenes: images with exact masks, positions and colours of their objects."""

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
