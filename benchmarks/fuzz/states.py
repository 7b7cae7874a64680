"""The states of torch that cases run in, and what must be as it was after each."""

from __future__ import annotations

import os
import random
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import nn

HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_state_dict_hooks", "_load_state_dict_pre_hooks"),
)


@contextmanager
def default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def anomaly() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.autograd.detect_anomaly():
            yield


@contextmanager
def several() -> Iterator[None]:
    with torch.no_grad(), default_dtype(), torch.inference_mode(), autocast():
        yield


def autocast() -> Any:
    return torch.autocast("cpu", torch.bfloat16)


STATES: dict[str, Callable[[], Any]] = {
    "inference_mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": autocast,
    "default float64": default_dtype,
    "default device": default_device,
    "detect_anomaly": anomaly,
    "numpy raises": lambda: np.errstate(all="raise"),
    "several": several,
}


def of_model(module: nn.Module) -> dict[str, Any]:
    """The weights' checksums, and every hook, flag and replaced function of every module."""
    found: dict[str, Any] = {}
    tensors = {**dict(module.named_buffers()), **module.state_dict()}
    for name, tensor in tensors.items():
        found[f"weights {name}"] = zlib.crc32(tensor.detach().contiguous().numpy())
    for name, parameter in module.named_parameters():
        found[f"gradient {name}"] = (parameter.requires_grad, parameter.grad is None)
    for name, part in module.named_modules():
        hooks = [list(getattr(part, kind, ())) for kind in HOOKS]
        own = sorted(key for key, value in vars(part).items() if callable(value))
        found[f"module {name}"] = (part.training, hooks, own)
    globals_ = torch.nn.modules.module
    found["hooks of all modules"] = [len(getattr(globals_, f"_global{kind}")) for kind in HOOKS[:4]]
    return found


def of_process() -> dict[str, Any]:
    """What a call must leave as it found it."""
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "threads of torch": torch.get_num_threads(),
        "numpy errors": tuple(np.geterr().items()),
        "random numbers of torch": zlib.crc32(torch.get_rng_state().numpy()),
        "random numbers of numpy": zlib.crc32(np.random.get_state()[1]),  # type: ignore[index]
        "random numbers of Python": hash(random.getstate()),
        "threads": {thread.name for thread in threading.enumerate()},
        "folder": os.getcwd(),  # noqa: PTH109
        **{f"variable {name}": value for name, value in os.environ.items()},
        "streams": (id(sys.stdout), id(sys.stderr), id(sys.stdin)),
        "Pillow": (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES),
    }


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    return [f"{key}: {before.get(key)!r:.80} became {after.get(key)!r:.80}" for key in keys[:4]]
