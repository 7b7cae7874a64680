"""Unwrap models if that does not change the computation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from whyclip.errors import OptionError, UnsupportedModelError

PARALLEL = ("DataParallel", "DistributedDataParallel", "FullyShardedDataParallel")


def plain_module(model: Any, name: str) -> nn.Module:
    """Return the plain module of the user's object.

    A compiled model is unwrapped, because whyclip calls its encoders by name and ``torch.compile``
    compiles only ``forward``.

    Args:
        model: object from the user.
        name: name in results.

    Raises:
        OptionError: the object is not a module.
        UnsupportedModelError: a wrapper with another computation, or a quantised module.
    """
    if isinstance(model, str) or hasattr(model, "__fspath__"):
        raise OptionError(f"model is the string {str(model)!r:.60}; load it by whyclip.load(...)")
    if not isinstance(model, nn.Module):
        raise OptionError(
            f"model is of type {type(model).__name__}; give the model itself, an nn.Module "
            "(of a state dict: build the model, then model.load_state_dict)"
        )
    if hasattr(model, "_orig_mod"):
        return plain_module(model._orig_mod, name)
    kind = type(model).__name__
    if kind in PARALLEL:
        raise UnsupportedModelError(f"{name} is wrapped by {kind}; give its .module instead")
    if isinstance(model, torch.jit.ScriptModule):
        raise UnsupportedModelError(
            f"{name} is TorchScript, whose layers are not accessible; give the Python model, "
            "for OpenAI's that of clip.load(..., jit=False)"
        )
    if hasattr(model, "merge_and_unload") or "peft_config" in vars(model):
        raise UnsupportedModelError(
            f"{name} is wrapped by {kind}; give model.merge_and_unload() instead"
        )
    _refuse_quantised(model, name)
    return model


def _refuse_quantised(model: nn.Module, name: str) -> None:
    for path, part in model.named_modules():
        weight = getattr(part, "weight", None)
        packed = callable(weight) and not isinstance(weight, nn.Module)
        integers = isinstance(weight, torch.Tensor) and not weight.dtype.is_floating_point
        if packed or integers:
            raise UnsupportedModelError(
                f"{name}: layer {path!r} is quantised ({type(part).__name__}), and methods need "
                "gradients; wrap the model before it is quantised"
            )
