"""A wrapped model: two encoders, preprocessing, tokenizer, and the user's own module."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError
from whyclip.models.classifier_head import ClassifierHead
from whyclip.models.domain import Domain
from whyclip.models.fingerprint import fingerprint
from whyclip.models.tower import ImageTower, TextTower

if TYPE_CHECKING:
    from whyclip.integrations import Scorer


@dataclass(frozen=True)
class ModelView:
    """A user's model, wrapped.

    It refers to the model's modules and copies no weights. A copy (``copy.deepcopy``, ``pickle``)
    has its own module and uses that module's weights.

    Attributes:
        name: label of the model in results.
        image: image encoder.
        text: text encoder.
        preprocess: the library's own callable from a PIL image to pixels.
        tokenizer: the library's own tokenizer.
        width: size of the embedding space, ``e``.
        domain: distribution of the model's training images, if known.
        classes: classes of a plain classifier, whose prompts are class names; None for models with
            text.
        module: the user's own model.
        changes: differences between the loaded weights and the model's weights file, as
            sentences, such as resampled position embeddings.
    """

    name: str
    image: ImageTower
    text: TextTower
    preprocess: Callable[..., Any]
    tokenizer: Any
    width: int
    domain: Domain | None = None
    classes: ClassifierHead | None = None
    module: nn.Module | None = field(default=None, repr=False, compare=False)
    changes: tuple[str, ...] = ()

    @property
    def logit_scale(self) -> float:
        """Factor from score to logit, read from the module; 1 if the model has none."""
        scale = getattr(self.module, "logit_scale", None)
        return 1.0 if scale is None else float(scale.detach().exp())

    @property
    def logit_bias(self) -> float | None:
        """Number added to the logit, read from the module; None if the model has none.

        Only models trained with a sigmoid loss have one. Their probability of a match is
        ``sigmoid(logit_scale · cosine + logit_bias)``.
        """
        bias = getattr(self.module, "logit_bias", None)
        return None if bias is None else float(bias.detach())

    @property
    def fingerprint(self) -> str:
        """Hash of the current weights, computed from all weights at each access.

        Raises:
            UnsupportedModelError: the wrapper was created without the module.
        """
        if self.module is None:
            raise UnsupportedModelError(f"{self.name} was created without its module")
        return fingerprint(self.module)

    @property
    def towers(self) -> tuple[ImageTower | TextTower, ...]:
        """The encoders; a plain classifier has no text encoder."""
        return (self.image,) if self.classes is not None else (self.image, self.text)

    def to(self, device: torch.device | str | int) -> ModelView:
        """Move the user's own module to a device, in place, as ``nn.Module.to`` does.

        Args:
            device: the new device.

        Returns:
            This view.

        Raises:
            UnsupportedModelError: the wrapper was created without the module.
        """
        if self.module is None:
            raise UnsupportedModelError(f"{self.name} was created without its module")
        self.module.to(device)
        return self

    def scorer(self, prompts: Any, *, against: Any = None) -> Scorer:
        """Make a module for captum, pytorch-grad-cam, Quantus or ``torch.export``.

        Args:
            prompts: as for :func:`whyclip.explain`.
            against: contrast prompts.

        Returns:
            A differentiable module from pixels ``[b, 3, H, W]`` to match scores ``[b, n]``. It
            contains the user's module, not a copy.

        Raises:
            PromptError: a prompt cannot be used.
            ModelError: the model's scores cannot be reproduced.
        """
        # Imported by name, because this package must not depend on the module.
        made: Scorer = import_module("whyclip.integrations").scorer(self, prompts, against=against)
        return made

    def probability(self, scores: Tensor) -> Tensor:
        """Convert scores to independent match probabilities, for models with a sigmoid loss.

        ``sigmoid(logit_scale · score + logit_bias)``; Zhai et al., ICCV 2023, equation 1.

        Raises:
            UnsupportedModelError: the model was not trained with a sigmoid loss, so its scores are
                meaningful only relative to those of other prompts.
        """
        if self.logit_bias is None:
            raise UnsupportedModelError(
                f"{self.name} has no logit bias, so a single score is not a probability; compare "
                "prompts by softmax(logit_scale · scores) instead"
            )
        return (self.logit_scale * scores + self.logit_bias).sigmoid()

    def __repr__(self) -> str:
        rows, columns = self.image.native_grid
        return (
            f"ModelView({self.name!r}, {len(self.image.blocks)} image blocks on a "
            f"{rows}×{columns} grid, {len(self.text.blocks)} text blocks)"
        )
