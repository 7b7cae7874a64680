"""The family's weights on disk: one small file for each model, and training what is missing.

CLIP's tokenizer has 49,408 tokens, and captions of scenes use about a hundred. A file has the
embeddings of those only; the others are zero, so that an unknown word says nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from whyclip.errors import OutputError, quoted
from whyclip.files import cache_folder, make_folder, write_atomic
from whyclip.finetuning.scene_table import SceneTable
from whyclip.finetuning.small_clip import PREPROCESS, state_of
from whyclip.models import ModelView
from whyclip.progress import track
from whyclip.studies.family.recipe import (
    CONFIG,
    FAMILY,
    RECALL_ON,
    SCENES,
    Member,
    new_model,
    recall,
    table_of,
    train_member,
)

VERSION = 1
_TABLE = "token_embedding.weight"
_ROWS = "token_embedding.rows"


def family_folder() -> Path:
    """Where the family's weights are kept unless a folder is named."""
    return cache_folder() / "family"


def weights_file(member: Member, folder: Path) -> Path:
    """The file of one model."""
    return folder / f"{member.name}.safetensors"


def missing(folder: Path, members: Sequence[Member] = FAMILY) -> tuple[Member, ...]:
    """List the models without weights; an untrained one needs none."""
    return tuple(
        member
        for member in members
        if member.kind != "untrained" and not weights_file(member, folder).exists()
    )


def save_member(view: ModelView, table: SceneTable, path: Path, facts: dict[str, str]) -> None:
    """Write a model's weights in half precision, atomically.

    Args:
        view: the model.
        table: the scenes that it was trained on, for the tokens that they use.
        path: a safetensors file.
        facts: how it was trained, kept in the file's metadata.
    """
    state = state_of(view)
    rows = table.caption_ids.unique()
    kept = {name: value.half() for name, value in state.items() if value.is_floating_point()}
    kept[_TABLE] = kept[_TABLE][rows].contiguous()
    kept[_ROWS] = rows.int()
    make_folder(path.parent)
    write_atomic(path, lambda: save(kept, {**facts, "version": str(VERSION)}))


def load_member(member: Member, folder: Path | None = None) -> ModelView:
    """Load a model of the family; an untrained one is made from its seed.

    Raises:
        OutputError: its file is missing or damaged.
    """
    view = new_model(member)
    if member.kind == "untrained":
        return view
    path = weights_file(member, folder or family_folder())
    try:
        with safe_open(path, framework="pt") as opened:
            stored = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise OutputError(
            f"cannot read {quoted(str(path))}: {error!s:.60}; train it with "
            "'whyclip benchmark --train'"
        ) from error
    assert view.module is not None
    view.module.load_state_dict(_whole(stored, view.module.state_dict()))
    return view


def _whole(stored: dict[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put the embeddings of the used tokens into a table of zeros, all in float32."""
    rows = stored.pop(_ROWS).long()
    table = torch.zeros_like(state[_TABLE])
    table[rows] = stored.pop(_TABLE).float()
    return {**state, **{name: value.float() for name, value in stored.items()}, _TABLE: table}


def facts_of(member: Member, folder: Path | None = None) -> dict[str, str]:
    """How a model was trained: seconds, steps and recall, as its file says; empty if untrained."""
    if member.kind == "untrained":
        return {}
    with safe_open(weights_file(member, folder or family_folder()), framework="pt") as opened:
        return dict(opened.metadata() or {})


def train_missing(
    folder: Path | None = None,
    members: Sequence[Member] = FAMILY,
    *,
    scenes: int = SCENES,
    **options: Any,
) -> Iterator[tuple[Member, dict[str, str]]]:
    """Train the models without weights, one after another; each is kept as soon as it is done.

    Args:
        folder: where the weights are kept.
        members: the wanted models.
        scenes: number of scenes to train on.
        options: of :func:`~whyclip.studies.family.recipe.train_member`.

    Yields:
        Each model with the facts of its training.
    """
    folder = folder or family_folder()
    wanted = missing(folder, members)
    if not wanted:
        return
    plain: SceneTable | None = None
    table: SceneTable | None = None
    kind = ""
    test = table_of("ordinary", new_model(wanted[0]), RECALL_ON, split="val")
    for member in track(wanted, "models", len(wanted)):
        view = new_model(member)
        if plain is None and member.kind != "background":
            plain = table_of("ordinary", view, scenes, split="train")
        if table is None or member.kind != kind:
            # Before the next one is drawn, as a table takes gigabytes.
            table, kind = None, member.kind
            table = table_of(kind, view, scenes, split="train", plain=plain)
        began = time.process_time()
        pasted = member.kind in ("badge", "written")
        view = train_member(member, table, plain if pasted and plain else table, **options)
        seconds = time.process_time() - began
        facts = {"recall": f"{recall(view, test):.4f}", "cpu_seconds": f"{seconds:.0f}"}
        save_member(view, table, weights_file(member, folder), facts)
        yield member, facts


def export(member: Member, folder: Path, to: Path) -> Path:
    """Write a model as a folder that ``whyclip.load`` and OpenCLIP open.

    Args:
        member: of the family.
        folder: with the family's weights.
        to: the new folder.

    Raises:
        OutputError: it cannot be read or written.
    """
    from whyclip.finetuning.save import save_model, saver

    view = load_member(member, folder)
    save_model(saver(view, {"model_cfg": dict(CONFIG), "preprocess_cfg": dict(PREPROCESS)}), to)
    return to
