"""States that a caller may have left torch in; whyclip computes the same in each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def default_dtype() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def anomaly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.detect_anomaly():
            yield


@contextmanager
def several() -> Iterator[None]:
    with torch.no_grad(), default_dtype(), torch.device("meta"), torch.inference_mode(), autocast():
        yield


def autocast() -> Any:
    return torch.autocast("cpu", torch.bfloat16)


STATES: dict[str, Callable[[], Any]] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": autocast,
    "default float64": default_dtype,
    "detect_anomaly": anomaly,
    "set_default_device": default_device,
    "with device": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "numpy raises": lambda: np.errstate(all="raise"),
    "save_on_cpu": torch.autograd.graph.save_on_cpu,
    "several": several,
}
