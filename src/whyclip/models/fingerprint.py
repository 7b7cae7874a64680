"""A model's fingerprint: a few digits that distinguish its weights from others."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError

WORD = torch.int32.itemsize


@torch.no_grad()
def fingerprint(module: nn.Module) -> str:
    """Hash every module's class, and every tensor's name, shape, type and contents.

    The classes, because the same weights with another activation are another model. Contents
    are the sums of each row's bits, read as whole numbers: exact in any order, so the same on
    every device, and different if any one number of the row changes.

    Returns:
        Sixteen hexadecimal digits.

    Raises:
        UnsupportedModelError: a tensor has no numbers to read.
    """
    digest = hashlib.blake2b(digest_size=8)
    sums: list[Tensor] = []
    for name, part in module.named_modules():
        digest.update(f"{name} {type(part).__name__}".encode())
    # Buffers that are not saved (masks) are not in the state dict, but decide what is computed;
    # weights of quantised layers are in the state dict alone.
    tensors = {**dict(module.named_buffers()), **module.state_dict()}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor!r}".encode())
            continue
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if tensor.is_meta:
            raise UnsupportedModelError(
                f"weights {name!r} are on the device 'meta', which holds no numbers; load them "
                "on 'cpu' or 'cuda'"
            )
        sums.append(_row_sums(tensor.dequantize() if tensor.is_quantized else tensor))
    digest.update(_together(sums).numpy().tobytes())
    return digest.hexdigest()


def _row_sums(tensor: Tensor) -> Tensor:
    """Sum the bits of each row as 32-bit whole numbers that wrap around."""
    rows = tensor.contiguous()
    rows = rows.reshape(-1, rows.shape[-1] if rows.ndim > 1 else 1)
    if not rows.numel():
        return torch.empty(0, dtype=torch.int32)
    octets = rows.view(torch.uint8)
    if octets.shape[-1] % WORD == 0 and octets.storage_offset() % WORD == 0:
        return octets.view(torch.int32).sum(-1, dtype=torch.int32)
    return octets.sum(-1, dtype=torch.int32)


def _together(sums: list[Tensor]) -> Tensor:
    """Copy all sums to the CPU, in one transfer if they are on one device."""
    if not sums:
        return torch.empty(0, dtype=torch.int32)
    if len({part.device for part in sums}) > 1:
        sums = [part.cpu() for part in sums]
    return torch.cat(sums).cpu()
