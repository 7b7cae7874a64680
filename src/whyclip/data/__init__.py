"""Datasets whose truth is known: controlled scenes are built in, others are read from disk."""

from whyclip.data.draw import COLOURS
from whyclip.data.load import dataset_kinds, open_dataset
from whyclip.data.sample import Dataset, Sample
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
    "Dataset",
    "Sample",
    "Scene",
    "SceneObject",
    "Scenes",
    "compose_scene",
    "concepts",
    "dataset_kinds",
    "make_scene",
    "open_dataset",
]
