"""Run an encoder through the model's public entry point if possible, else block by block."""

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
"""Values of ``check`` that run every input through the public entry point."""


def pass_check(check: Check, *, altered: bool, first: bool = True) -> PassCheck:
    """Choose which inputs of a batch go through the public entry point.

    By default, all inputs of the first batch do. If something in the model was hooked or replaced,
    all inputs of every batch do.
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
    """Run the model's forward pass and keep the inputs of its last blocks.

    The model is run through its public entry point, and pre-hooks record the inputs of its blocks
    during that call. If hooks do not fire (compiled modules), if the public entry point does not
    accept the input (another grid), or if ``check`` requires it, the blocks are run one after
    another instead, and the two embeddings are compared if both exist.

    Args:
        tower: image or text encoder.
        inputs: pixels ``[b, 3, H, W]`` or token ids ``[b, t]``, on any device.
        targets: directions to score against.
        keep: number of last blocks whose inputs are kept for methods.
        precision: ``"bf16"`` runs the pass under autocast; recomputed blocks use the weights'
            own precision.
        words: for texts, the positions of the pieces of each word.
        pad: for texts, the padding id.
        whole_context: whether to keep all padding of texts; otherwise padding after the last
            readout token is removed if nothing attends to it.
        check: ``"all"`` runs every input through the public entry point; ``"sample"`` only the
            longest one, unless all cost nothing; ``"none"`` runs only the blocks. ``"again"`` does
            the same as ``"all"`` and runs the last input a second time, alone.

    Raises:
        ScoreMismatchError: blocks and public entry point give different embeddings, or the public
            entry point is not deterministic.

    An opaque encoder is run through the library's encoder; only ``content`` and ``grid`` of its
    stream are meaningful. Under autocast the model also runs once in its own precision.
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
            embedding = tower.encode(inputs).float()
        forward_pass = made(
            stream=tower.embed(inputs), states={}, embedding=embedding, checked=len(inputs)
        )
        return _beside_the_model(forward_pass, check)
    read = inputs if whole_context else tower.trim(inputs)
    # With hooks, the public pass is the explained one and costs nothing extra. Text padding costs
    # time, so only a sample runs with it.
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
    """Run the model's public entry point if the explained pass did not use it, and compare both."""
    tower, inputs = forward_pass.tower, forward_pass.inputs
    if forward_pass.precision != "fp32" or not forward_pass.checked:
        if check == "none":
            return replace(forward_pass, checked=0)
        rows = list(range(len(inputs))) if check in EVERY else [_longest(tower, inputs)]
        public_embedding = forward_pass.embedding.clone()
        public_embedding[rows] = tower.encode(inputs[rows]).float()
        check_same(
            tower.side,
            forward_pass.targets,
            forward_pass.tolerance,
            forward_pass.embedding[rows],
            public_embedding[rows],
        )
        forward_pass = replace(forward_pass, checked=len(rows), public_embedding=public_embedding)
    if check == "again":
        alone, once = tower.encode(inputs[-1:]).float(), forward_pass.public[-1:]
        try:
            check_same(tower.side, forward_pass.targets, forward_pass.tolerance, once, alone)
        except ScoreMismatchError as error:
            raise ScoreMismatchError(
                f"{tower.side} encoder: the model gives a different result when the same input "
                "runs again, alone; it depends on randomness, the batch or earlier calls"
            ) from error
    return forward_pass


def _longest(tower: Tower, inputs: Tensor) -> int:
    """Return the index of the longest text in a batch; 0 for images."""
    return int(tower.readout_index(inputs).argmax()) if isinstance(tower, TextTower) else 0


def takes_input(tower: Tower, inputs: Tensor) -> bool:
    """Whether the public entry point accepts these inputs: pixels of its size, full contexts."""
    if isinstance(tower, ImageTower):
        return tuple(inputs.shape[-2:]) == tower.input_size
    return not isinstance(tower, TextTower) or inputs.shape[-1] == tower.context


def _public_pass(
    tower: Tower, inputs: Tensor, read: Tensor, keep: int, precision: Precision
) -> tuple[Stream, dict[int, Tensor], Tensor] | None:
    """Run the public entry point and record inputs; None if a block was not called as a module."""
    first = len(tower.blocks) - max(keep, 1)
    with (
        precision_context(tower.device, precision),
        recorded_inputs(tower, max(keep, 1)) as recorded,
    ):
        embedding = tower.encode(inputs).float()
    wanted = range(first, len(tower.blocks))
    if any(index not in recorded or len(recorded[index]) != len(inputs) for index in wanted):
        return None
    stream = layout(tower, read, recorded[len(tower.blocks) - 1])
    t = stream.content_mask.shape[1]
    states = {index: recorded[index][:, :t] for index in wanted[max(keep, 1) - keep :]}
    return stream, states, embedding


def layout(tower: Tower, inputs: Tensor, x: Tensor) -> Stream:
    """Describe the tokens ``x`` ``[b, t, w]`` that enter the last block, without running the model.

    An image's patches are the last tokens, row by row. A text's ids determine its mask and readout
    token.
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
    # Only mask, rows and content are needed now, so the first block's input is released.
    return replace(stream, x=stream.x[:, :0].clone()), states, embedding


@torch.no_grad()
def check_walk(tower: Tower, inputs: Tensor, public_pass: ForwardPass) -> None:
    """Compare the blocks, run one after another, with a public pass over the same inputs.

    Used for images with another grid, which only the blocks accept.

    Raises:
        ScoreMismatchError: the two give different scores.
    """
    _, _, embedding = _walk(tower, inputs.to(tower.device), 0, public_pass.precision)
    check_same(
        tower.side, public_pass.targets, public_pass.tolerance, embedding, public_pass.embedding
    )
