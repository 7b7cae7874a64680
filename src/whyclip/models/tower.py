"""Interface of a wrapped model: two encoders ("towers"), each a list of blocks.

A wrapper refers to the user's modules and calls them. Every adapter builds these types.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.models.frozen import Affine, affine, chain
from whyclip.types import Side


@dataclass(frozen=True)
class Stream:
    """Tokens in an encoder.

    Attributes:
        x: ``[b, t, w]`` tokens.
        mask: additive attention mask ``[1 or b, 1 or h, t, t]``, or None.
        readout_index: ``[b]`` index of the token that becomes the embedding (CLS, EOS); 0 with a
            pooling head.
        content_mask: ``[b, t]`` True for patches or word pieces, False for CLS, BOS, EOS, padding.
        grid: rows and columns of patches; None for text.
    """

    x: Tensor
    mask: Tensor | None
    readout_index: Tensor
    content_mask: Tensor
    grid: tuple[int, int] | None = None


class Block(ABC):
    """One residual attention block, split at its attention.

    ``forward(x)`` must equal ``finish(x, merge(softmax(q kᵀ · scale + mask) v))``; this is
    checked when a model is loaded.

    A pooling head is an additional last block with its own query (``qkv`` returns one query row,
    ``forward`` one token). ``finish`` drops the pooled tokens, and there is no mask.

    A post-norm block normalises the sum of stream and update, so its stream is not a sum of
    updates.
    """

    heads: int
    scale: float
    is_pooling_head: bool = False
    pre_norm: bool = True

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Precision of the block's weights."""

    @property
    def hooked(self) -> nn.Module | None:
        """The module whose first argument is the block's input, if there is one."""
        return None

    def hooked_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """Extract the block's input ``[b, t, w]`` from a call's arguments."""
        x = args[0] if args else kwargs.get("hidden_states", kwargs.get("x"))
        return x if isinstance(x, Tensor) else None

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Run the library's own block: ``[b, t, w]`` to ``[b, t, w]``."""

    def first_norm(self, x: Tensor) -> Tensor:
        """Normalise the block's input before its attention; without a norm, return the input."""
        return x

    @abstractmethod
    def qkv_of(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values ``[b, h, t, d]`` of the output of :meth:`first_norm`.

        For a pooling head, the queries are ``[b, h, 1, d]``.
        """

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values as they enter the attention product; see :meth:`qkv_of`."""
        return self.qkv_of(self.first_norm(x))

    @abstractmethod
    def merge(self, o: Tensor) -> Tensor:
        """Map concatenated heads ``[..., h·d]`` to the update of the stream ``[..., w]``."""

    @abstractmethod
    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        """Add the update and run norms and MLP, token by token: ``[..., w]``."""

    @abstractmethod
    def out_proj(self, z: Tensor) -> Tensor:
        """The attention's output projection with its bias, ``[..., w]`` to ``[..., w]``."""

    def frozen_value(self, x: Tensor) -> Affine:
        """Map from the stream ``[b, w]`` to the values ``[b, h·d]``, with the norm frozen at x.

        Raises:
            UnsupportedModelError: the block does not describe its parts.
        """
        raise _not_described(self, x)

    def frozen_merge(self, o: Tensor) -> Affine:
        """``merge`` as an affine map, with its norms frozen at o ``[b, h·d]``."""
        raise _not_described(self, o)

    def frozen_finish(self, s: Tensor) -> Affine:
        """``finish`` as an affine map of ``x + update``, frozen where this sum is s ``[b, w]``.

        Norms keep their deviation, activations f their secant f(z)/z, and gates their values. A
        pooling head maps only its update.
        """
        raise _not_described(self, s)


def _not_described(block: Block, x: Tensor) -> UnsupportedModelError:
    del x
    return UnsupportedModelError(
        f"{type(block).__name__} does not describe its norms and its MLP, which readout paths "
        "freeze; use paths='direct' or contribution"
    )


class Tower(ABC):
    """An encoder whose last block's attention pools all tokens into one vector.

    Attributes:
        side: ``"image"`` or ``"text"``.
        blocks: first to last; empty if the encoder is ``opaque``.
        opaque: reason why the tokens are not pooled by attention, such as "it averages its
            patches"; empty if they are. Opaque encoders support only black-box methods.
    """

    side: Side
    blocks: Sequence[Block]
    opaque: str = ""

    @property
    def has_pooling_head(self) -> bool:
        """Whether the encoder has a pooling head; then no other block has a readout row."""
        return bool(self.blocks) and self.blocks[-1].is_pooling_head

    @abstractmethod
    def embed(self, inputs: Tensor) -> Stream:
        """Convert pixels ``[b, 3, H, W]`` or token ids ``[b, t]`` to the first block's input."""

    @property
    @abstractmethod
    def norm(self) -> nn.Module:
        """The final norm, token by token."""

    @abstractmethod
    def head(self, x: Tensor) -> Tensor:
        """Project normed tokens: ``[..., w]`` to ``[..., e]``; linear, with or without bias."""

    def project(self, x: Tensor) -> Tensor:
        """Apply final norm and projection to readout tokens: ``[..., w]`` to ``[..., e]``."""
        return self.head(self.norm(x))

    def frozen_project(self, x: Tensor) -> Affine:
        """``project`` as an affine map ``[b, w]`` to ``[b, e]``, frozen at x.

        Raises:
            UnsupportedModelError: the norm or the head cannot be frozen.
        """
        return chain(x, self.norm, affine(self.head, self.blocks[-1].dtype, "the projection"))

    @abstractmethod
    def encode(self, inputs: Tensor) -> Tensor:
        """Call the library's own encoder: ``[b, e]``, not normalised."""

    def trim(self, inputs: Tensor) -> Tensor:
        """Drop inputs that do not affect the embedding; images are returned unchanged."""
        return inputs

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Device of the encoder's weights."""


class ImageTower(Tower):
    """A vision encoder.

    Attributes:
        patch: side of a patch in pixels.
        native_grid: rows and columns of the grid it was trained on.
        native_size: height and width of the input it was trained on, which need not be whole
            patches of that grid (384 pixels, patches of 14).
        fixed_grid_reason: reason why it supports only that grid, such as "its positions are
            rotary"; empty if it supports others.
    """

    side: Side = "image"
    patch: int
    native_grid: tuple[int, int]
    native_size: tuple[int, int] | None = None
    fixed_grid_reason: str = ""

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width in pixels of the input it was trained on."""
        return self.native_size or (
            self.native_grid[0] * self.patch,
            self.native_grid[1] * self.patch,
        )


class TextTower(Tower):
    """A text transformer; ``context`` is the number of token positions.

    If the readout token cannot attend to later tokens (``causal``), these are not computed.
    """

    side: Side = "text"
    context: int
    causal: bool

    @abstractmethod
    def readout_index(self, ids: Tensor) -> Tensor:
        """Position ``[b]`` of the token that becomes the embedding."""

    def trim(self, inputs: Tensor) -> Tensor:
        """Cut token ids ``[b, t]`` after the last readout token, if nothing attends to them."""
        return inputs[:, : int(self.readout_index(inputs).max()) + 1] if self.causal else inputs


def attend(block: Block, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run a block up to its attention; return post-softmax weights ``[b, h, t, t]`` and values."""
    q, k, v = block.qkv(x)
    logits = q @ k.transpose(-1, -2) * block.scale
    return (logits if mask is None or block.is_pooling_head else logits + mask).softmax(-1), v


def after_attention(block: Block, x: Tensor, weights: Tensor, v: Tensor) -> Tensor:
    """Run a block from its attention weights and values: ``[b, t, w]``."""
    return block.finish(x, block.merge(join_heads(weights @ v)))


def join_heads(x: Tensor) -> Tensor:
    """``[b, h, t, d]`` to ``[b, t, h·d]``."""
    return x.transpose(1, 2).flatten(2)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """``[b, t, h·d]`` to ``[b, h, t, d]``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def interpolate_positions(
    positions: Tensor, native: tuple[int, int], grid: tuple[int, int], prefix: int = 1
) -> Tensor:
    """Resample the patch positions of ``[prefix + gh·gw, w]`` bicubically, but not the prefix."""
    if grid == native:
        return positions
    first, patches = positions[:prefix], positions[prefix:]
    plane = patches.T.reshape(1, -1, *native)
    resized = torch.nn.functional.interpolate(
        plane.float(), size=grid, mode="bicubic", align_corners=False
    ).to(positions.dtype)
    return torch.cat([first, resized[0].flatten(1).T])
