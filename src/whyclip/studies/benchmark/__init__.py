"""Benchmark of explanation methods over a family of models, based on interventions."""

from whyclip.studies.benchmark.result import Benchmark
from whyclip.studies.benchmark.run import benchmark, read_benchmark

__all__ = ["Benchmark", "benchmark", "read_benchmark"]
