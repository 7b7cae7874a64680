"""A batch of images run through the image encoder, once for all prompts and methods."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from whyclip.batches import Batch
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import EVERY, PassCheck, check_walk, run_tower, takes_input
from whyclip.forward.targets import Targets
from whyclip.models import ModelView
from whyclip.types import Precision


@dataclass(frozen=True)
class ImagePass:
    """A batch of images with the forward passes over it.

    Attributes:
        batch: the images.
        forward_pass: the pass that is explained.
        own: the pass over what the library's own pipeline makes of the images; where that is the
            same, ``forward_pass`` itself.
    """

    batch: Batch
    forward_pass: ForwardPass
    own: ForwardPass

    @property
    def seen(self) -> Tensor:
        """``[b, 3, H, W]`` what ``own`` ran on."""
        return self.batch.pixels if self.batch.own is None else self.batch.own

    def with_targets(self, targets: Targets) -> ImagePass:
        """Score the same passes against other targets; nothing is run again."""
        aimed = self.forward_pass.with_targets(targets)
        same = self.own is self.forward_pass
        own = aimed if same else self.own.with_targets(targets)
        return replace(self, forward_pass=aimed, own=own)


def run_images(
    model: ModelView,
    batch: Batch,
    targets: Targets,
    blocks: int,
    precision: Precision,
    how: PassCheck,
) -> ImagePass:
    """Run the image encoder over a batch, and over the library's own reading where that differs.

    Args:
        model: the model.
        batch: prepared images.
        targets: what the images are scored against.
        blocks: how many last blocks methods will read.
        precision: of the forward pass.
        how: which images go through the model's public entry point.

    Raises:
        ScoreMismatchError: the blocks and the public entry point give different scores.
    """
    image, own = model.image, None
    forward_pass = run_tower(
        image, batch.pixels, targets, keep=blocks, precision=precision, check=how
    )
    if batch.own is not None:
        own = run_tower(image, batch.own, targets, keep=0, precision=precision, check=how)
        if not takes_input(image, batch.pixels) and how in EVERY:
            check_walk(image, batch.own, own)
    return ImagePass(batch, forward_pass, own or forward_pass)
