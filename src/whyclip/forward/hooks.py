"""Record the inputs of a model's blocks in its own forward pass.

Forward pre-hooks are set for one call and always removed. They record only on the calling thread,
so forward passes on other threads are unaffected.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.models.tower import Block, Tower


class _Recorder:
    """A forward pre-hook that records a block's first input and changes nothing."""

    def __init__(self, block: Block, index: int, inputs: dict[int, Tensor]) -> None:
        self.block, self.index, self.inputs = block, index, inputs
        self.thread = threading.get_ident()

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None
    ) -> None:
        # Another thread may call the hook without kwargs while it is being registered.
        del module
        if self.thread == threading.get_ident() and self.index not in self.inputs:
            x = self.block.hooked_input(args, kwargs or {})
            if x is not None:
                self.inputs[self.index] = x.detach()


@contextmanager
def recorded_inputs(tower: Tower, kept: int) -> Iterator[Mapping[int, Tensor]]:
    """Record the inputs of an encoder's last blocks while the model runs.

    Args:
        tower: the encoder; its modules are restored, even after an exception.
        kept: number of last blocks.

    Yields:
        A mapping from block index to input ``[b, t, w]``, filled during the call. Blocks that are
        not called as modules are missing.
    """
    inputs: dict[int, Tensor] = {}
    first = len(tower.blocks) - kept
    blocks = {index: tower.blocks[index] for index in range(first, len(tower.blocks))}
    modules = [block.hooked for block in blocks.values()]
    # Removed twice, because an interrupt may occur during the first removal.
    try:
        try:
            for (index, block), module in zip(blocks.items(), modules, strict=True):
                if module is not None:
                    recorder = _Recorder(block, index, inputs)
                    module.register_forward_pre_hook(recorder, with_kwargs=True)
            yield inputs
        finally:
            _remove(modules, inputs)
    except BaseException:
        _remove(modules, inputs)
        raise


def _remove(modules: list[nn.Module | None], inputs: dict[int, Tensor]) -> None:
    """Remove the recorders of one call, identified by their target."""
    for module in modules:
        if module is None:
            continue
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, _Recorder) and hook.inputs is inputs:
                module._forward_pre_hooks_with_kwargs.pop(key, None)
                module._forward_pre_hooks.pop(key, None)


def hooks_fire(tower: Tower) -> bool:
    """Whether pre-hooks on an encoder's blocks fire during its forward pass.

    A compiled module may have been traced without hooks, and must not be traced with them.
    """
    roots = [part for part in vars(tower).values() if isinstance(part, nn.Module)]
    return not any(_is_compiled(part) for root in roots for part in root.modules())


def _is_compiled(module: nn.Module) -> bool:
    if getattr(module, "_compiled_call_impl", None) is not None:
        return True
    if isinstance(module, torch.jit.ScriptModule):
        return True
    return type(module).__name__ == "OptimizedModule"
