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
        library_pass: the pass over the images as the library's own pipeline prepares them;
            ``forward_pass`` itself if both inputs are the same.
    """

    batch: Batch
    forward_pass: ForwardPass
    library_pass: ForwardPass

    @property
    def library_pixels(self) -> Tensor:
        """``[b, 3, H, W]`` input of ``library_pass``."""
        return self.batch.model_input

    def with_targets(self, targets: Targets) -> ImagePass:
        """Score the same passes against other targets, without running them again."""
        aimed = self.forward_pass.with_targets(targets)
        same = self.library_pass is self.forward_pass
        library_pass = aimed if same else self.library_pass.with_targets(targets)
        return replace(self, forward_pass=aimed, library_pass=library_pass)


def run_images(
    model: ModelView,
    batch: Batch,
    targets: Targets,
    blocks: int,
    precision: Precision,
    how: PassCheck,
) -> ImagePass:
    """Run the image encoder on a batch, and on the library's own pixels if they differ.

    Args:
        model: the model.
        batch: prepared images.
        targets: directions that the images are scored against.
        blocks: number of last blocks that methods use.
        precision: of the forward pass.
        how: which images go through the model's public entry point.

    Raises:
        ScoreMismatchError: the blocks and the public entry point give different scores.
    """
    image, library_pass = model.image, None
    forward_pass = run_tower(
        image, batch.pixels, targets, keep=blocks, precision=precision, check=how
    )
    if batch.library_pixels is not None:
        library_pass = run_tower(
            image, batch.library_pixels, targets, keep=0, precision=precision, check=how
        )
        if not takes_input(image, batch.pixels) and how in EVERY:
            check_walk(image, batch.library_pixels, library_pass)
    return ImagePass(batch, forward_pass, library_pass or forward_pass)
