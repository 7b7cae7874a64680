"""An encoder's forward pass, as methods use it.

The model runs once through its public entry point, without gradients, and hooks set for this call
record the inputs of the blocks. Only the blocks that a method needs are recomputed part by part,
with gradients. In the last block only the readout token's row after the attention is needed, so
explaining an image costs little more than encoding it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from whyclip.errors import OptionError, ScoreMismatchError
from whyclip.forward.fidelity import check_same, tolerance_of
from whyclip.forward.readout import Heads, Node, Readout, rerun_readout
from whyclip.forward.targets import Targets
from whyclip.models.tower import ImageTower, Stream, Tower, attend
from whyclip.progress import track
from whyclip.types import Precision, Side

# The published text maps sum over the last eight of CLIP's twelve text blocks.
TEXT_LAYERS = 8


@dataclass(frozen=True)
class ForwardPass:
    """Forward pass of one encoder over b inputs, with the states that methods need.

    Attributes:
        tower: the encoder that ran.
        stream: the tokens that entered the first block.
        states: ``[b, t, w]`` input of each kept block, by its index.
        embedding: ``[b, e]`` float32, output of the library's own blocks.
        targets: directions that the inputs are scored against.
        inputs: pixels ``[b, 3, H, W]`` or token ids ``[b, t]``.
        precision: precision of the forward pass.
        words: for each text, the positions of the pieces of each word; empty for images.
        pad: id of the padding.
        use_jacobian: whether gradients use ∂F/∂node, which is faster for more than ``e`` targets.
        checked: how many of the b inputs went through the model's public entry point.
        own: ``[b, e]`` output of the public entry point, if the explained pass is a different one;
            ``embedding`` for inputs that did not go through it.
    """

    tower: Tower
    stream: Stream
    states: Mapping[int, Tensor]
    embedding: Tensor
    targets: Targets
    inputs: Tensor
    precision: Precision = "fp32"
    words: tuple[tuple[tuple[int, ...], ...], ...] = ()
    pad: int = 0
    use_jacobian: bool = False
    checked: int = 0
    public_embedding: Tensor | None = field(default=None, repr=False)
    _readouts: dict[tuple[int, Heads], Readout] = field(default_factory=dict, repr=False)

    @property
    def side(self) -> Side:
        """``"image"`` or ``"text"``."""
        return self.tower.side

    @property
    def content_mask(self) -> Tensor:
        """``[b, t]`` True for patches or word pieces."""
        return self.stream.content_mask

    @property
    def tolerance(self) -> float:
        """Largest difference of two scores that rounding can explain."""
        return tolerance_of((self.tower,), self.precision)

    @property
    def public(self) -> Tensor:
        """``[b, e]`` embeddings of the public entry point.

        Inputs that did not go through it have the explained embedding.
        """
        return self.embedding if self.public_embedding is None else self.public_embedding

    def with_targets(self, targets: Targets, *, use_jacobian: bool = False) -> ForwardPass:
        """Score the same forward pass against other targets, without recomputation."""
        return replace(self, targets=targets, use_jacobian=use_jacobian)

    def depth(self, layers: int | None) -> int:
        """Number of last blocks to use: ``layers``, or by default 1 (image) or 8 (text).

        Raises:
            OptionError: the encoder does not have that many blocks.
        """
        return depth(self.tower, layers)

    def readout(self, layers: int = 1, heads: Heads = "native") -> Readout:
        """Recompute the last blocks part by part, once for each number of blocks.

        Raises:
            ScoreMismatchError: the result differs from the model's, for example because of a hook
                that changes the output of a block or of the encoder.
        """
        key = (layers, heads)
        if key not in self._readouts:
            first = len(self.tower.blocks) - layers
            readout = rerun_readout(self.tower, self.stream, self.states[first], layers, heads)
            if not readout.changes:
                check_same(
                    self.side, self.targets, self.tolerance, readout.embedding, self.embedding
                )
            self._readouts[key] = readout
        return self._readouts[key]

    def follow(self, index: int, after: Tensor, inputs: slice = slice(None)) -> None:
        """Compare the output of a block's parts with the input of the next kept block.

        Args:
            index: index of the block.
            after: output ``[b, w]`` at the readout tokens, or ``[b, t, w]``.
            inputs: indices of these inputs in the batch.

        Raises:
            ScoreMismatchError: they differ, for example because of a hook on a part of the block.
        """
        if index + 1 not in self.states:
            return
        expected = self.states[index + 1][inputs].float()
        if after.ndim < expected.ndim:
            rows = self.stream.readout_index[inputs]
            expected = expected[torch.arange(len(expected), device=expected.device), rows]
        largest = expected.abs().max().clamp_min(1e-12)
        difference = float((after.float() - expected).abs().max() / largest)
        if not difference <= 10 * self.tolerance:
            raise ScoreMismatchError(
                f"{self.side} block {index}: its recomputed output differs from the next block's "
                f"input in the model's own pass by {difference:.1e} of the largest value; a method "
                "that reads the last block alone, for example contribution, may still work"
            )

    @torch.no_grad()
    def attention(self, index: int) -> Tensor:
        """Post-softmax weights ``[b, h, t, t]`` of one kept block, by index or from the end."""
        index %= len(self.tower.blocks)
        block = self.tower.blocks[index]
        return attend(block, self.states[index].to(block.dtype), self.stream.mask)[0].float()

    def encode(self, batches: Iterable[Tensor], total: int, what: str) -> Tensor:
        """Embed other inputs ``[m, e]`` float32: all batches of :meth:`encode_batches` at once."""
        return torch.cat(list(self.encode_batches(batches, total, what)))

    def encode_batches(self, batches: Iterable[Tensor], total: int, what: str) -> Iterator[Tensor]:
        """Embed other inputs without gradients, ``[k, e]`` float32 per batch.

        For perturbation methods. Only one of the ``batches`` is in memory at a time. With
        ``total``, a progress bar named ``what`` is shown.
        """
        for batch in track(batches, what, total):
            with torch.no_grad():
                embeddings = self.encode_perturbed(batch)
            yield embeddings

    def encode_perturbed(self, inputs: Tensor) -> Tensor:
        """Embed other inputs by the library's own encoder: ``[k, e]`` float32, with gradients.

        Images whose size the encoder does not accept go through its blocks instead, with position
        embeddings interpolated as in this forward pass.
        """
        tower = self.tower
        is_native = isinstance(tower, ImageTower) and tuple(inputs.shape[-2:]) == tower.input_size
        resized = tower.side == "image" and not (tower.opaque or is_native)
        with precision_context(tower.device, self.precision):
            inputs = inputs.to(tower.device)
            embeddings = run_blocks(tower, tower.embed(inputs)) if resized else tower.encode(inputs)
        return embeddings.float()

    def forget(self) -> None:
        """Release all recomputed blocks and their graphs."""
        self._readouts.clear()

    def gradient(self, readout: Readout, node: Node) -> tuple[Tensor, ...]:
        """Differentiate this forward pass's scores at a readout; see :meth:`Readout.gradient`."""
        return readout.gradient(node, self.targets, use_jacobian=self.use_jacobian)


def depth(tower: Tower, layers: int | None) -> int:
    """Number of last blocks of an encoder that a method uses; see :meth:`ForwardPass.depth`."""
    blocks = len(tower.blocks)
    if tower.has_pooling_head and layers not in (None, 1):
        raise OptionError(
            f"layers={layers!r}: the {tower.side} encoder has a pooling head, so only its last "
            "layer has a readout; use layers=1"
        )
    if layers is None:
        return (
            1
            if tower.has_pooling_head or tower.side == "image"
            else max(1, min(TEXT_LAYERS, blocks))
        )
    if not 1 <= layers <= blocks:
        raise OptionError(f"layers={layers!r}: the {tower.side} encoder has 1 to {blocks} blocks")
    return layers


def precision_context(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return a context with autocast to bfloat16, or an empty one."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def run_blocks(tower: Tower, stream: Stream) -> Tensor:
    """Run a stream through the library's own blocks to the embedding ``[b, e]``."""
    x = stream.x
    for block in tower.blocks:
        x = block.forward(x, stream.mask)
    return tower.project(x[torch.arange(len(x), device=x.device), stream.readout_index])
