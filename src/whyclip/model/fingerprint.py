"""A model's fingerprint: a few digits that tell it from others."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

# Of each tensor; all of a bias, few enough of a matrix that the disk is slower than the hash.
NUMBERS = 64


def fingerprint(module: nn.Module) -> str:
    """Hash every module's class, every tensor's name, shape and type, and numbers drawn from it.

    The classes, because the same weights with another activation are another model. Training
    changes nearly all numbers, so that a few tell two states of a model apart.

    Returns:
        Sixteen hexadecimal digits, the same on every device.
    """
    digest, drawn = hashlib.blake2b(digest_size=8), []
    for name, part in module.named_modules():
        digest.update(f"{name} {type(part).__name__}".encode())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        flat = tensor.detach().flatten()
        step = max(1, len(flat) // NUMBERS)
        drawn.append(flat[::step][:NUMBERS].double())
    digest.update(torch.cat(drawn).cpu().numpy().tobytes() if drawn else b"")
    return digest.hexdigest()
