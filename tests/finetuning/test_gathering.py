"""Two processes together compute the loss and the gradient that one computes alone."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from steps import examples, view_of
from whyclip.finetuning.batch import make_batch
from whyclip.finetuning.gathering import gather_rows, gathered_max, gathered_sum, pad_rows
from whyclip.finetuning.objective import Objective

WEIGHTS = {"local": 1.0, "removal": 1.0, "relevance": 1.0}


def test_one_process_gathers_nothing() -> None:
    rows = torch.rand(3, 2)
    assert gather_rows(rows) is rows
    assert gathered_sum(5, rows.device) == gathered_max(5, rows.device) == 5
    assert pad_rows(rows, 4).tolist() == [*rows.tolist(), [0, 0]]


def _gradient_on(rank: int, port: int, folder: str) -> None:
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    view = view_of()
    objective = Objective(view, **WEIGHTS)
    # The first process has two phrases and one mark, the second four phrases and one mark.
    mine = examples()[:2] if rank == 0 else examples()[2:]
    losses = objective(make_batch(view, mine, extract=lambda _: []))
    losses["loss"].backward()
    for parameter in objective.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= 2
    for value in losses.values():
        dist.all_reduce(value.detach())
    if rank == 0:
        gradients = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
        torch.save({"gradients": gradients}, Path(folder) / "two.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mp.spawn(_gradient_on, (port, str(tmp_path)), nprocs=2)
    together = torch.load(tmp_path / "two.pt", weights_only=True)["gradients"]
    view = view_of()
    objective = Objective(view, **WEIGHTS)
    objective(make_batch(view, examples(), extract=lambda _: []))["loss"].backward()
    alone = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    assert alone.keys() == together.keys()
    for name, gradient in alone.items():
        largest = max(float(gradient.abs().max()), 1e-6)
        assert torch.allclose(gradient, together[name], atol=1e-4 * largest), name
