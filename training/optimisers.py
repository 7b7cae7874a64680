"""Muon and AdamW, distributed over processes."""

from __future__ import annotations

import torch
import torch.distributed as dist

from training.model import Towers
from whyclip.errors import OptionError


class Optimisers:
    """Muon (Jordan et al. 2024) for the blocks' matrices, distributed, and AdamW for the rest."""

    def __init__(self, towers: Towers, rate: float, rank: int, workers: int) -> None:
        """Distribute the matrices over the workers; each updates its own and broadcasts them."""
        if not hasattr(torch.optim, "Muon"):
            raise OptionError(
                f"training needs torch 2.9 or newer, which has Muon; this is {torch.__version__}"
            )
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, p in towers.named_parameters():
            (matrices if p.ndim == 2 and "resblocks" in name else rest).append(p)
        matrices.sort(key=torch.numel)
        self.shares = [matrices[r::workers] for r in range(workers)]
        self.all = list(towers.parameters())
        self.tools = [
            torch.optim.Muon(
                self.shares[rank], lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
            ),
            torch.optim.AdamW(rest, lr=rate, weight_decay=0.0, betas=(0.9, 0.98)),
        ]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Average the workers' gradients, clip them, and update all weights."""
        if len(self.shares) > 1:
            flat = torch.cat([p.grad.flatten() for p in self.all if p.grad is not None])
            dist.all_reduce(flat)
            flat /= len(self.shares)
            parts = flat.split([p.numel() for p in self.all])
            for p, g in zip(self.all, parts, strict=True):
                p.grad = g.view_as(p)
        torch.nn.utils.clip_grad_norm_(self.all, 1.0)
        for tool in self.tools:
            for group in tool.param_groups:
                group["lr"] = rate
            tool.step()
        # Also clear the gradients of other workers' weights, which would otherwise accumulate.
        for p in self.all:
            p.grad = None
        if len(self.shares) > 1:
            for owner, share in enumerate(self.shares):
                flat = torch.cat([p.flatten() for p in share])
                dist.broadcast(flat, owner)
                for p, w in zip(share, flat.split([p.numel() for p in share]), strict=True):
                    p.copy_(w.view_as(p))
