"""Run a tower: through the model's public entry point where it can be, else block by block."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from whyclip.errors import ScoreMismatchError
from whyclip.forward.fidelity import check_same
from whyclip.forward.forward_pass import ForwardPass, precision_context
from whyclip.forward.hooks import hooks_fire, recorded_inputs
from whyclip.forward.targets import Targets
from whyclip.models.tower import ImageTower, Stream, TextTower, Tower
from whyclip.types import Check, Precision

PassCheck = Literal["again", "all", "sample", "none"]
EVERY: tuple[PassCheck, ...] = ("again", "all")
"""Which of these run every input through the public entry point."""


def pass_check(check: Check, *, altered: bool, first: bool = True) -> PassCheck:
    """How many inputs of a batch go through the public entry point: all of the first one.

    All of every batch where something in the model was hooked or replaced, as a sample would say
    little there.
    """
    if check == "none":
        return "none"
    if altered:
        return "again"
    return "all" if first or check == "all" else "sample"


@torch.no_grad()
def run_tower(
    tower: Tower,
    inputs: Tensor,
    targets: Targets,
    *,
    keep: int = 1,
    precision: Precision = "fp32",
    words: tuple[tuple[tuple[int, ...], ...], ...] = (),
    pad: int = 0,
    whole_context: bool = False,
    check: PassCheck = "all",
) -> ForwardPass:
    """Run the model's own forward pass and keep the input of the last ``keep`` blocks.

    The model is run through its public entry point, and pre-hooks set for the length of that call
    record what enters the blocks. Where they do not fire (compiled modules), where the public
    entry point does not take the input (another grid), or where ``check`` says so, the blocks are
    run one after another instead, and the two embeddings are compared where both exist.

    Args:
        tower: image or text tower.
        inputs: pixels ``[b, 3, H, W]`` or token ids ``[b, t]``, on any device.
        targets: what to score against.
        keep: how many last blocks methods may ask for again.
        precision: ``"bf16"`` runs the pass under autocast; the re-run stays in the weights'
            own precision.
        words: for texts, the positions of the pieces of each word.
        pad: for texts, the id that stands behind them.
        whole_context: keep texts with all their padding; otherwise what stands behind the last
            readout token is cut off where nothing reads it.
        check: ``"all"`` runs every input through the public entry point; ``"sample"`` only the
            longest one, unless all of them cost nothing more; ``"none"`` runs the blocks alone.
            ``"again"`` is ``"all"``, and runs the last input a second time, alone.

    Raises:
        ScoreMismatchError: blocks and public entry point give different embeddings, or the latter
            gives another one when it is run again.

    An opaque tower is run by the library's own encoder; of its stream only ``content`` and
    ``grid`` mean something. Under autocast the model is run once more in its own precision.
    """
    inputs = inputs.to(tower.device)
    public = check != "none" and takes_input(tower, inputs)
    made = partial(
        ForwardPass,
        tower,
        targets=targets,
        inputs=inputs,
        precision=precision,
        words=words,
        pad=pad,
    )
    if tower.opaque:
        with precision_context(tower.device, precision):
            found = tower.encode(inputs).float()
        forward_pass = made(
            stream=tower.embed(inputs), states={}, embedding=found, checked=len(inputs)
        )
        return _beside_the_model(forward_pass, check)
    read = inputs if whole_context else tower.trim(inputs)
    # Hooks turn the public pass into the explained one, so that it costs nothing more; a text's
    # padding does cost, and is run for a sample only.
    free = tower.side == "image" or read.shape == inputs.shape
    if public and (check in EVERY or free) and hooks_fire(tower):
        recorded = _public_pass(tower, inputs, read, keep, precision)
        if recorded is not None:
            stream, states, embedding = recorded
            forward_pass = made(
                stream=stream, states=states, embedding=embedding, checked=len(inputs)
            )
            return _beside_the_model(forward_pass, check)
    stream, states, embedding = _walk(tower, read, keep, precision)
    forward_pass = made(stream=stream, states=states, embedding=embedding)
    return _beside_the_model(forward_pass, check) if public else forward_pass


def _beside_the_model(forward_pass: ForwardPass, check: PassCheck) -> ForwardPass:
    """Run the model itself where the explained pass was not that, and compare the two."""
    tower, inputs = forward_pass.tower, forward_pass.inputs
    if forward_pass.precision != "fp32" or not forward_pass.checked:
        if check == "none":
            return replace(forward_pass, checked=0)
        rows = list(range(len(inputs))) if check in EVERY else [_longest(tower, inputs)]
        own = forward_pass.embedding.clone()
        own[rows] = tower.encode(inputs[rows]).float()
        check_same(
            tower.side,
            forward_pass.targets,
            forward_pass.tolerance,
            forward_pass.embedding[rows],
            own[rows],
        )
        forward_pass = replace(forward_pass, checked=len(rows), own=own)
    if check == "again":
        alone, once = tower.encode(inputs[-1:]).float(), forward_pass.public[-1:]
        try:
            check_same(tower.side, forward_pass.targets, forward_pass.tolerance, once, alone)
        except ScoreMismatchError as error:
            raise ScoreMismatchError(
                f"{tower.side} encoder: the model gives another result when the same input is run "
                "again, alone; it depends on chance, on the batch or on earlier calls"
            ) from error
    return forward_pass


def _longest(tower: Tower, inputs: Tensor) -> int:
    """Where in a batch the input stands that has most to go wrong; of images any one does."""
    return int(tower.readout_index(inputs).argmax()) if isinstance(tower, TextTower) else 0


def takes_input(tower: Tower, inputs: Tensor) -> bool:
    """Whether the public entry point takes these inputs: pixels of its own size, whole contexts."""
    if isinstance(tower, ImageTower):
        return tuple(inputs.shape[-2:]) == tower.input_size
    return not isinstance(tower, TextTower) or inputs.shape[-1] == tower.context


def _public_pass(
    tower: Tower, inputs: Tensor, read: Tensor, keep: int, precision: Precision
) -> tuple[Stream, dict[int, Tensor], Tensor] | None:
    """Run the public entry point and record; None where a block was not reached as a module."""
    first = len(tower.blocks) - max(keep, 1)
    with (
        precision_context(tower.device, precision),
        recorded_inputs(tower, max(keep, 1)) as found,
    ):
        embedding = tower.encode(inputs).float()
    wanted = range(first, len(tower.blocks))
    if any(index not in found or len(found[index]) != len(inputs) for index in wanted):
        return None
    stream = layout(tower, read, found[len(tower.blocks) - 1])
    t = stream.content_mask.shape[1]
    states = {index: found[index][:, :t] for index in wanted[max(keep, 1) - keep :]}
    return stream, states, embedding


def layout(tower: Tower, inputs: Tensor, x: Tensor) -> Stream:
    """Describe the tokens ``x`` ``[b, t, w]`` that the last block read, without running the model.

    An image's patches are the last tokens, row by row; a text's mask and readout token follow
    from its ids.
    """
    if not isinstance(tower, ImageTower):
        stream = tower.embed(inputs)
        return replace(stream, x=stream.x[:, :0].clone())
    grid = (inputs.shape[-2] // tower.patch, inputs.shape[-1] // tower.patch)
    content = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    content[:, : x.shape[1] - grid[0] * grid[1]] = False
    row = torch.zeros(len(x), dtype=torch.long, device=x.device)
    return Stream(x[:, :0].clone(), None, row, content, grid)


def _walk(
    tower: Tower, inputs: Tensor, keep: int, precision: Precision
) -> tuple[Stream, dict[int, Tensor], Tensor]:
    """Run the library's blocks one after another."""
    states: dict[int, Tensor] = {}
    first_kept = len(tower.blocks) - keep
    with precision_context(tower.device, precision):
        stream = tower.embed(inputs)
        x = stream.x
        for index, block in enumerate(tower.blocks):
            if index >= first_kept:
                states[index] = x
            x = block.forward(x, stream.mask)
        rows = x[torch.arange(len(x), device=x.device), stream.readout_index]
        embedding = tower.project(rows).float()
    # Only its mask, rows and content are needed from here on: let the first block's input go.
    return replace(stream, x=stream.x[:, :0].clone()), states, embedding


@torch.no_grad()
def check_walk(tower: Tower, inputs: Tensor, own: ForwardPass) -> None:
    """Compare the blocks, run one after another, with the public pass over the same inputs.

    For images of another grid, which only the blocks can take.

    Raises:
        ScoreMismatchError: they give different scores.
    """
    _, _, embedding = _walk(tower, inputs.to(tower.device), 0, own.precision)
    check_same(tower.side, own.targets, own.tolerance, embedding, own.embedding)
