"""Region classification: predict the class of each box or mask of an image."""

from whyclip.regions.classes import class_embeddings
from whyclip.regions.classify import classify, classify_regions, region_accuracy
from whyclip.regions.counts import Counts, macc_difference
from whyclip.regions.dense import dense_features
from whyclip.regions.prepare import Prepared, prepare_regions
from whyclip.regions.region import Region, RegionImage, region_image
from whyclip.regions.result import RegionResult

__all__ = [
    "Counts",
    "Prepared",
    "Region",
    "RegionImage",
    "RegionResult",
    "class_embeddings",
    "classify",
    "classify_regions",
    "dense_features",
    "macc_difference",
    "prepare_regions",
    "region_accuracy",
    "region_image",
]
