"""States of torch for the cases, and the global state that must not change."""

from __future__ import annotations

import os
import random
import sys
import threading
import zlib
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFile
from torch import nn

import torch_states

HOOKS = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    *("_state_dict_hooks", "_load_state_dict_pre_hooks"),
)


NAMES = (
    *("inference_mode", "no_grad", "autocast", "default float64", "set_default_device"),
    *("detect_anomaly", "numpy raises", "several"),
)
STATES = {name: torch_states.STATES[name] for name in NAMES}


def of_model(module: nn.Module) -> dict[str, Any]:
    """Return checksums of the weights, and all hooks, flags and replaced functions of modules."""
    state: dict[str, Any] = {}
    tensors = {**dict(module.named_buffers()), **module.state_dict()}
    for name, tensor in tensors.items():
        state[f"weights {name}"] = zlib.crc32(tensor.detach().contiguous().numpy())
    for name, parameter in module.named_parameters():
        state[f"gradient {name}"] = (parameter.requires_grad, parameter.grad is None)
    for name, part in module.named_modules():
        hooks = [list(getattr(part, kind, ())) for kind in HOOKS]
        callables = sorted(key for key, value in vars(part).items() if callable(value))
        state[f"module {name}"] = (part.training, hooks, callables)
    globals_ = torch.nn.modules.module
    state["hooks of all modules"] = [len(getattr(globals_, f"_global{kind}")) for kind in HOOKS[:4]]
    return state


def of_process() -> dict[str, Any]:
    """Return the process-wide state that a call must not change."""
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
