"""Low-rank adapters (Hu et al., ICLR 2022) through PEFT."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from torch import nn

from whyclip.errors import OptionError
from whyclip.models import ModelView
from whyclip.models.state import refuse_stale

# whyclip uses the weight of timm's joint projection directly, which bypasses an adapter.
_READ_DIRECTLY = ("qkv",)


@contextmanager
def adapters(view: ModelView, rank: int, skip: Collection[nn.Parameter]) -> Iterator[None]:
    """Add adapters to linear layers during a run, then merge them into the weights.

    Only the adapters are trained. The scale is 1 (``alpha = rank``), and there is no dropout.

    Args:
        view: the model, changed in place.
        rank: rank of each adapter.
        skip: parameters whose layers get no adapter.

    Raises:
        OptionError: PEFT is not installed, no layer can take an adapter, or the rank is above
            that of all layers.
    """
    try:
        from peft import LoraConfig, LoraModel
    except ImportError:
        raise OptionError(
            f"lora={rank} needs PEFT; install it with pip install 'whyclip[train]'"
        ) from None
    names = adaptable_layers(view, skip)
    if not names:
        raise OptionError(
            f"lora={rank}: {view.name} has no linear layer for an adapter; train its weights"
        )
    module = view.module
    weights = dict(module.named_parameters())  # type: ignore[union-attr]
    width = max(min(weights[f"{name}.weight"].shape) for name in names)
    if rank > width:
        raise OptionError(
            f"lora={rank} is above the rank of every layer, at most {width}; give 4 to 64"
        )
    config = LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, target_modules=names)
    for parameter in module.parameters():  # type: ignore[union-attr]
        parameter.requires_grad_(False)
    tuner = LoraModel(module, config, "default")
    try:
        refuse_stale(view)
        yield
    finally:
        tuner.merge_and_unload()
        if "peft_config" in vars(module):
            del module.peft_config  # type: ignore[union-attr]


def adaptable_layers(view: ModelView, skip: Collection[nn.Parameter] = ()) -> list[str]:
    """Name the linear layers in the encoders' blocks that are called as modules.

    The projections of ``nn.MultiheadAttention``, which OpenCLIP uses, are plain weights and get no
    adapter, so OpenCLIP models get adapters only in their MLPs. In transformers, the attention
    projections get adapters too.

    Args:
        view: the model.
        skip: parameters whose layers are excluded.
    """
    blocks = {
        part
        for tower in view.towers
        for block in tower.blocks
        if block.hooked is not None
        for part in block.hooked.modules()
    }
    return [
        name
        for name, part in view.module.named_modules()  # type: ignore[union-attr]
        # The output projection of torch's attention has its own class.
        if type(part) is nn.Linear
        and part in blocks
        and name.rpartition(".")[2] not in _READ_DIRECTLY
        and part.weight not in set(skip)
    ]
