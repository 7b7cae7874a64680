"""Measure the cost of a training step with the local loss, relative to the global loss alone.

    python -m benchmarks.finetuning_cost --model small --batch-size 128
    python -m benchmarks.finetuning_cost --model ViT-B-16 --batch-size 128 --device cuda --bf16

All kinds of steps alternate in one process; the values are medians and their ratio. Memory is the
peak of a process that runs only this kind. Rows are saved in
``benchmarks/finetuning_cost.json``.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import open_clip
import torch
import torch.multiprocessing as mp
import typer
from open_clip.transform import image_transform

import whyclip
from whyclip.finetuning.batch import Batch, token_ids, word_hashes
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.parameters import parameter_groups
from whyclip.finetuning.small_clip import small_clip
from whyclip.models import ModelView

KEPT = Path(__file__).with_suffix(".json")
KINDS = {
    "global": {"local": 0.0},
    "local, uniform maps": {"guidance": "uniform"},
    "local, Grad-ECLIP": {"guidance": "grad_eclip"},
    "local, Attention-ECLIP": {"guidance": "attention_eclip"},
    "local, contribution": {"guidance": "contribution"},
    "local, Grad-CAM": {"guidance": "grad_cam"},
    "local, MaskCLIP": {"guidance": "maskclip"},
    "local, decomposition": {"guidance": "decomposition"},
}
PHRASES_EACH = 3


def view_of(model: str, device: str) -> ModelView:
    """Build a model with random weights, on which the cost of a step does not depend."""
    if model == "small":
        return small_clip(device=device)
    module = open_clip.create_model(model, load_weights=False).eval().to(device)
    side = module.visual.image_size
    preprocess = image_transform(side, is_train=False)
    return whyclip.wrap(module, preprocess, open_clip.get_tokenizer(model), model)


def batch_of(view: ModelView, size: int) -> Batch:
    """Build a batch of random pixels, with three distinct phrases each."""
    colours = ["red", "orange", "yellow", "green", "blue", "purple", "pink", "grey"]
    phrases = [f"{colours[i % 8]} thing{i}" for i in range(size * PHRASES_EACH)]
    captions = [
        " and ".join(phrases[i * PHRASES_EACH : (i + 1) * PHRASES_EACH]) for i in range(size)
    ]
    rows = torch.arange(size * PHRASES_EACH)
    return Batch(
        pixels=torch.randn(size, 3, *view.image.input_size),
        captions=token_ids(view, captions),
        phrases=token_ids(view, [f"This is a photo of the {phrase}." for phrase in phrases]),
        words=torch.tensor([word_hashes(phrase) for phrase in phrases]),
        pairs=torch.stack([rows // PHRASES_EACH, rows], 1),
    ).to(view.image.device)


class Step:
    """One kind of training step, prepared for repeated calls."""

    def __init__(self, model: str, device: str, size: int, bf16: bool, kind: str) -> None:
        self.view, self.bf16, self.device = view_of(model, device), bf16, device
        self.objective = Objective(self.view, **KINDS[kind])  # type: ignore[arg-type]
        self.batch = batch_of(self.view, size)
        self.objective.train()
        self.optimiser = torch.optim.AdamW(parameter_groups(self.objective, 0.1), lr=1e-6)

    def __call__(self) -> float:
        begun = time.perf_counter()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            loss = self.objective(self.batch)["loss"]
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun


def _peak(queue: Any, *given: Any) -> None:
    """Measure the peak memory in MB of two steps: of the GPU, or else of the process."""
    step = Step(*given)
    step()
    step()
    device = step.device
    used = (
        torch.cuda.max_memory_allocated() / 2**20
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    )
    queue.put(used)


def peak_memory(*given: Any) -> float:
    context = mp.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak, args=(queue, *given))
    process.start()
    used = float(queue.get())
    process.join()
    return used


def main(
    model: Annotated[str, typer.Option(help="'small', or an architecture of OpenCLIP")] = "small",
    batch_size: Annotated[int, typer.Option()] = 128,
    device: Annotated[str, typer.Option()] = "cpu",
    bf16: Annotated[bool, typer.Option("--bf16", help="under autocast")] = False,
    rounds: Annotated[int, typer.Option()] = 7,
    kinds: Annotated[list[str] | None, typer.Option("--kind")] = None,
    out: Annotated[Path, typer.Option()] = KEPT,
) -> None:
    """Measure and save one row per kind of step."""
    chosen = kinds or list(KINDS)
    memory = {kind: peak_memory(model, device, batch_size, bf16, kind) for kind in chosen}
    steps = {kind: Step(model, device, batch_size, bf16, kind) for kind in chosen}
    for step in steps.values():
        step()
    seconds: dict[str, list[float]] = {kind: [] for kind in chosen}
    for _ in range(rounds):
        for kind, step in steps.items():
            seconds[kind].append(step())
    base = statistics.median(seconds[chosen[0]])
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    precision = "bf16" if bf16 else "fp32"
    rows = []
    for kind in chosen:
        middle = statistics.median(seconds[kind])
        ratios = [a / b for a, b in zip(seconds[kind], seconds[chosen[0]], strict=True)]
        rows.append(
            {
                "model": model,
                "device": name,
                "precision": precision,
                "batch_size": batch_size,
                "phrases": batch_size * PHRASES_EACH,
                "kind": kind,
                "seconds": round(middle, 4),
                "over_global": round(middle / base, 3),
                "ratios": [round(min(ratios), 3), round(max(ratios), 3)],
                "peak_mb": round(memory[kind]),
                "torch": torch.__version__,
            }
        )
        print(
            f"{kind:28} {middle:8.3f} s  ×{middle / base:.2f} [{min(ratios):.2f}, "
            f"{max(ratios):.2f}]  {memory[kind]:.0f} MB",
            flush=True,
        )
    kept = json.loads(out.read_text()) if out.exists() else []
    same = {"model", "device", "precision", "batch_size"}
    now = {key: rows[0][key] for key in same}
    kept = [row for row in kept if any(row[key] != now[key] for key in same)]
    out.write_text(json.dumps(kept + rows, indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
