"""Datasets whose truth is known: controlled scenes are built in."""

from whyclip.data.draw import COLOURS
from whyclip.data.scenes import (
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
