"""A model's fingerprint: a hash of its weights."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError

WORD = torch.int32.itemsize


@torch.no_grad()
def fingerprint(module: nn.Module) -> str:
    """Hash every module's class, and every tensor's name, shape, type and contents.

    Classes are included because the same weights with another activation are another model.
    Contents are hashed as the sum of each row's bits as integers. This sum is independent of order
    and device, and changes if one number of the row changes.

    Returns:
        Sixteen hexadecimal digits.

    Raises:
        UnsupportedModelError: a tensor has no values.
    """
    digest = hashlib.blake2b(digest_size=8)
    sums: list[Tensor] = []
    for name, part in module.named_modules():
        digest.update(f"{name} {type(part).__name__}".encode())
    # Unsaved buffers (masks) are missing in the state dict but affect the results. Weights of
    # quantised layers are only in the state dict.
    tensors = {**dict(module.named_buffers()), **module.state_dict()}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            digest.update(f"{name} {tensor!r}".encode())
            continue
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        if tensor.is_meta:
            raise UnsupportedModelError(
                f"weights {name!r} are on the device 'meta' and have no values; load them "
                "on 'cpu' or 'cuda'"
            )
        sums.append(_row_sums(tensor.dequantize() if tensor.is_quantized else tensor))
    digest.update(_together(sums).numpy().tobytes())
    return digest.hexdigest()


def _row_sums(tensor: Tensor) -> Tensor:
    """Sum the bits of each row as 32-bit integers with wrap-around."""
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
