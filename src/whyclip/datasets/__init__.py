"""Labelled datasets: synthetic scenes are built in, all others are read from disk."""

from whyclip.datasets.dataset import Dataset, Sample
from whyclip.datasets.load import dataset_kinds, open_dataset

__all__ = ["Dataset", "Sample", "dataset_kinds", "open_dataset"]
