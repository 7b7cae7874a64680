"""What whyclip needs to know of a model: two towers, each a row of blocks.

A view describes the user's own modules and calls them. Every adapter (openclip.py, hf.py) builds
these types and nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.types import Side


@dataclass(frozen=True)
class Stream:
    """Tokens on their way through a tower.

    Attributes:
        x: ``[b, t, w]`` tokens.
        mask: additive attention mask ``[1 or b, 1 or h, t, t]``, or None.
        readout_index: ``[b]`` index of the token that becomes the embedding (CLS, EOS); 0 where a
            pooling head makes it.
        content_mask: ``[b, t]`` True for patches or word pieces, False for CLS, BOS, EOS, padding.
        grid: rows and columns of patches; None for text.
    """

    x: Tensor
    mask: Tensor | None
    readout_index: Tensor
    content_mask: Tensor
    grid: tuple[int, int] | None = None


class Block(ABC):
    """One residual attention block, taken apart at its attention.

    ``forward(x)`` must equal ``finish(x, merge(softmax(q kᵀ · scale + mask) v))``; the view
    is checked for it on first use.

    A pooling head is one more block, the last: it ``pools``, its queries are its own (``qkv`` gives
    one query row, ``forward`` one token), and ``finish`` drops the tokens it read. It has no mask.

    Where a block does not ``add`` its updates to the stream, as it norms their sum (post-norm),
    the stream is no sum of what its layers wrote.
    """

    heads: int
    scale: float
    is_pooling_head: bool = False
    pre_norm: bool = True

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The precision of the block's weights."""

    @property
    def hooked(self) -> nn.Module | None:
        """The module whose first argument is the block's input, if there is one."""
        return None

    def hooked_input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        """Turn a call's arguments into the block's input ``[b, t, w]``."""
        found = args[0] if args else kwargs.get("hidden_states", kwargs.get("x"))
        return found if isinstance(found, Tensor) else None

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Run the library's own block: ``[b, t, w]`` to ``[b, t, w]``."""

    @abstractmethod
    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys, values ``[b, h, t, d]``, as they enter the attention product.

        Of a block that pools, the queries are ``[b, h, 1, d]``.
        """

    @abstractmethod
    def merge(self, o: Tensor) -> Tensor:
        """Map concatenated heads ``[..., h·d]`` to the update of the stream ``[..., w]``."""

    @abstractmethod
    def finish(self, x: Tensor, update: Tensor) -> Tensor:
        """Add the update and run norms and MLP, on each token alone: ``[..., w]``."""

    @abstractmethod
    def out_proj(self, z: Tensor) -> Tensor:
        """The attention's output projection with its bias, ``[..., w]`` to ``[..., w]``."""


class Tower(ABC):
    """An encoder whose last block's attention reads all tokens into one vector.

    Attributes:
        side: ``"image"`` or ``"text"``.
        blocks: first to last; none where the tower is ``opaque``.
        opaque: why no attention reads the tokens into the embedding, such as "it averages its
            patches"; empty where one does. Of an opaque tower only its input and its embedding
            are known, which is enough for methods that change the input and watch the score.
    """

    side: Side
    blocks: Sequence[Block]
    opaque: str = ""

    @property
    def has_pooling_head(self) -> bool:
        """Whether the readout is a pooling head, so that no other block has a readout row."""
        return bool(self.blocks) and self.blocks[-1].is_pooling_head

    @abstractmethod
    def embed(self, inputs: Tensor) -> Stream:
        """Turn pixels ``[b, 3, H, W]`` or token ids ``[b, t]`` into the first block's input."""

    @property
    @abstractmethod
    def norm(self) -> nn.Module:
        """The final norm, which acts on each token alone."""

    @abstractmethod
    def head(self, x: Tensor) -> Tensor:
        """Project normed tokens: ``[..., w]`` to ``[..., e]``; linear, with or without bias."""

    def project(self, x: Tensor) -> Tensor:
        """Final norm and projection of readout tokens: ``[..., w]`` to ``[..., e]``."""
        return self.head(self.norm(x))

    @abstractmethod
    def encode(self, inputs: Tensor) -> Tensor:
        """Call the library's own encoder: ``[b, e]``, not normalised."""

    def trim(self, inputs: Tensor) -> Tensor:
        """Leave out what nothing reads; of an image nothing can be left out."""
        return inputs

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the tower's weights are."""


class ImageTower(Tower):
    """A vision encoder.

    Attributes:
        patch: side of a patch in pixels.
        native_grid: rows and columns of the grid it was trained on.
        native_size: height and width of the input it was trained on, where it need not be whole
            patches of that grid (384 pixels, patches of 14).
        fixed_grid_reason: why it runs on no other grid, such as "its positions are rotary"; empty
            if it does.
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

    Where later tokens cannot be seen from the readout token (``causal``), what stands behind
    it need not be computed.
    """

    side: Side = "text"
    context: int
    causal: bool

    @abstractmethod
    def readout_index(self, ids: Tensor) -> Tensor:
        """Position ``[b]`` of the token that becomes the embedding."""

    def trim(self, inputs: Tensor) -> Tensor:
        """Cut token ids ``[b, t]`` behind the last readout token, if nothing reads them."""
        return inputs[:, : int(self.readout_index(inputs).max()) + 1] if self.causal else inputs


def attend(block: Block, x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Run a block up to its attention: post-softmax weights ``[b, h, t, t]``, values."""
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
    """Resample the patch positions of ``[prefix + gh·gw, w]`` bicubically; prefix tokens stay."""
    if grid == native:
        return positions
    first, patches = positions[:prefix], positions[prefix:]
    plane = patches.T.reshape(1, -1, *native)
    resized = torch.nn.functional.interpolate(
        plane.float(), size=grid, mode="bicubic", align_corners=False
    ).to(positions.dtype)
    return torch.cat([first, resized[0].flatten(1).T])
