"""The training loop of experiments: the loop of ``whyclip finetune`` without checkpoints."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from whyclip.finetuning.batch import Batch
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.parameters import parameter_groups
from whyclip.finetuning.settings import Settings
from whyclip.progress import track

_KEPT = 10


def minimise(
    objective: Objective,
    batches: Iterator[Batch],
    steps: int,
    settings: Settings,
    *,
    autocast: bool = False,
    label: str = "training",
) -> list[dict[str, Tensor]]:
    """Train by AdamW with warm-up, cosine decay and clipped gradients.

    Args:
        objective: the model with its losses; the model is in evaluation mode afterwards.
        batches: at least one batch per step.
        steps: number of steps.
        settings: learning rate, warm-up, weight decay, betas and clipping.
        autocast: whether to compute in bfloat16.
        label: label of the progress bar.

    Returns:
        The losses of the last ten steps, by name.
    """
    module = objective.model
    optimiser = torch.optim.AdamW(
        parameter_groups(module, settings.weight_decay),
        betas=settings.betas,
        lr=0.0,
        fused=objective.view.image.device.type == "cuda",
    )
    module.train()
    kept: list[dict[str, Tensor]] = []
    for step in track(range(steps), label, steps):
        for group in optimiser.param_groups:
            group["lr"] = settings.rate(step, steps)
        with torch.autocast(objective.view.image.device.type, torch.bfloat16, enabled=autocast):
            losses = objective(next(batches))
        optimiser.zero_grad()
        losses["loss"].backward()
        nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
        optimiser.step()
        if step >= steps - _KEPT:
            kept.append({name: value.detach() for name, value in losses.items()})
    module.eval()
    return kept
