"""Tiny runs of everything that resumes, each a function of its folder alone."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
from training.model import CONFIG
from training.train import Schedule, train

import tiny
import whyclip
from audit_toy import Toy
from pictures import Pictures
from whyclip.files import write_atomic
from whyclip.models import ModelView
from whyclip.studies.audit import audit
from whyclip.studies.evaluation import evaluate


class Many(Pictures):
    def __len__(self) -> int:
        return 12


@lru_cache(maxsize=1)
def view() -> ModelView:
    torch.set_num_threads(1)
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


def evaluation(folder: Path) -> None:
    """With edits one by one, as rounding depends on what is in a batch."""
    metrics = ["deletion", "iou", "word_insertion"]
    result = evaluate(view(), Many(), ["grad_eclip"], metrics, batch_size=1, out=folder)
    rows = "\n".join(map(repr, result.rows))
    # A report takes longer than all samples; every number in it is one of these.
    write_atomic(folder / "rows.txt", rows.encode)


def auditing(folder: Path) -> None:
    # Few checks, as their intervals take longer than all that is measured here.
    checks = ["score_gap", "patch_masked", "word_removal", "deletion", "shuffled_weights"]
    result = audit(
        view(), Toy(10), ["grad_eclip"], checks, limit=10, edited=6, patches=4, out=folder
    )
    content = json.dumps(result.to_json())
    write_atomic(folder / "audit.json", content.encode)


PICTURES = (56, 40, 32, 32, 32)
BATCH = 8


def training(folder: Path) -> None:
    """All five stages of a model of one block."""
    torch.set_num_threads(1)
    CONFIG["embed_dim"] = 32
    CONFIG["vision_cfg"].update(layers=1, width=64)
    CONFIG["text_cfg"].update(layers=1, width=32, heads=2)
    folder.mkdir(exist_ok=True)
    train(0, folder, Schedule(PICTURES, BATCH, warm=2), 1, 1, 0, 3, (7, 14))
