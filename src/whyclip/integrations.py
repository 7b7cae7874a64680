"""Adapters for other explanation libraries: captum, pytorch-grad-cam, Quantus.

None of them is imported here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyclip.ambient import in_plain_state
from whyclip.api import chosen_variants
from whyclip.encoded_prompts import EncodedPrompts, encode_prompts
from whyclip.errors import ImageError, OptionError, UnsupportedModelError, quoted
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.models import ModelView
from whyclip.models.entry import answers_as_a_whole
from whyclip.models.state import check_asked, check_state, naming_suspects
from whyclip.pipeline import check_whole, run
from whyclip.preprocessed import check_pixels
from whyclip.resample import Interpolation, resample_to_image
from whyclip.types import Precision
from whyclip.variant import MethodLike

RGB = 3
AXES = 4


class Scorer(nn.Module):
    """Differentiable module from pixels ``[b, 3, H, W]`` to match scores ``[b, n]``.

    Scores are cosines, or a classifier's logits. They come from the model's public image encoder;
    the prompts' embeddings are computed once and fixed. The user's model is a submodule, not
    a copy: ``to``, ``half`` and ``train`` act on it.

    Attributes:
        view: the wrapped model.
        model: the user's own module, ``view.module``.
        prompts: one line of text for each of the n scores.
        directions: ``[n, e]`` text directions; scores are their products with the image's unit
            embedding.
        bias: ``[n]`` of a classifier's logits, else None.
        empty: ``[e]`` unit embedding of the empty prompt, which some methods subtract.
    """

    directions: Tensor
    bias: Tensor | None
    empty: Tensor | None

    def __init__(self, view: ModelView, encoded: EncodedPrompts) -> None:
        super().__init__()
        if view.module is None:
            raise UnsupportedModelError(f"{view.name} was created without its module")
        targets = encoded.own_targets()
        self.view, self.model = view, view.module
        self.prompts = tuple(str(prompt.label) for prompt in encoded.prompts)
        self._encoded = replace(
            encoded,
            tokens=None,
            strings=((),) * len(encoded.prompts),
            forward_passes=(),
            against=None,
            own_fixed=None,
            own_against=None,
        )
        self.register_buffer("directions", targets.directions.detach().clone())
        for name, value in (("bias", targets.bias), ("empty", targets.empty)):
            self.register_buffer(name, None if value is None else value.detach().clone())
        # A new module starts in training mode, but the model is in evaluation mode.
        self.training = False

    def forward(self, pixels: Tensor) -> Tensor:
        """Score inputs ``[b, 3, H, W]`` against every prompt: ``[b, n]`` float32.

        Raises:
            ImageError: the input has another shape or size.
        """
        size = self.view.image.input_size
        if pixels.ndim != AXES or tuple(pixels.shape[1:]) != (RGB, *size):
            raise ImageError(
                f"pixels of shape {tuple(pixels.shape)}; {self.view.name} takes "
                f"[b, 3, {size[0]}, {size[1]}]"
            )
        encoded = self.encoded()
        targets = Targets(encoded.fixed, bias=encoded.bias)
        return targets.score(self.view.image.encode(pixels))

    def encoded(self) -> EncodedPrompts:
        """The fixed prompts, in the form that whyclip's methods take."""
        # Scores stay float32 after ``half`` or ``double``.
        fixed, bias, empty = (
            None if value is None else value.float()
            for value in (self.directions, self.bias, self.empty)
        )
        assert fixed is not None
        return replace(self._encoded, fixed=fixed, bias=bias, empty=empty)

    def to_grid(self, tokens: Tensor | tuple[Any, ...]) -> Tensor:
        """Reshape a layer's tokens to feature maps; pytorch-grad-cam's ``reshape_transform``.

        Args:
            tokens: ``[b, t, w]`` (or ``[t, b, w]``, as in OpenAI's package), with the patches last;
                or a tuple that starts with such a tensor. Feature maps ``[b, w, gh, gw]`` are
                returned unchanged.

        Returns:
            ``[b, w, gh, gw]``, without CLS and registers.

        Raises:
            ImageError: there are fewer tokens than patches.
        """
        x: Tensor = tokens if isinstance(tokens, Tensor) else tokens[0]
        if x.ndim == AXES:
            return x
        rows, columns = self.view.image.native_grid
        if x.shape[1] < rows * columns:
            x = x.transpose(0, 1)
        if x.shape[1] < rows * columns:
            raise ImageError(
                f"tokens of shape {tuple(x.shape)}; {self.view.name} has {rows}×{columns} patches"
            )
        return x[:, -rows * columns :].unflatten(1, (rows, columns)).permute(0, 3, 1, 2)


@in_plain_state
def scorer(view: ModelView, prompts: Any, *, against: Any = None) -> Scorer:
    """Make a module that scores pixels against fixed prompts; see :class:`Scorer`.

    Args:
        view: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        prompts: as for :func:`whyclip.explain`.
        against: contrast prompts; scores are then differences of cosines.

    Raises:
        PromptError: a prompt cannot be used.
        ScoreMismatchError: the whole model and its encoders give different scores.
        UnsupportedModelError: the model is in training mode.
    """
    check_asked(view, "model", "fp32")
    check_state(view)
    with naming_suspects(view):
        encoded = encode_prompts(view, prompts, against, empty=True, check="all")
        if answers_as_a_whole(view):
            blank = torch.zeros(1, RGB, *view.image.input_size)
            image_pass = run_tower(view.image, blank, encoded.targets(), keep=0, check="all")
            check_whole(view, encoded, blank, image_pass)
    return Scorer(view, encoded)


@in_plain_state
def explain_func(
    model: nn.Module,
    inputs: Any,
    targets: Any,
    *,
    method: MethodLike | None = None,
    interpolation: Interpolation = "bilinear",
    precision: Precision = "fp32",
    device: Any = None,
    **method_options: Any,
) -> NDArray[np.float32]:
    """Explain a batch of pixels, with the signature that Quantus expects.

    Pass it as ``explain_func`` to a metric of Quantus, and ``method`` and its options in
    ``explain_func_kwargs``.

    Args:
        model: from :meth:`whyclip.ModelView.scorer`; its prompts are the classes.
        inputs: preprocessed pixels ``[b, 3, H, W]``.
        targets: ``[b]``, the index of the prompt to explain for each input.
        method: a name from ``whyclip.methods.METHODS``; by default the image side's default method.
        interpolation: from patches to pixels; see :meth:`whyclip.Explanation.heatmap`.
        precision: of the forward pass.
        device: ignored; the model is used where it is. Quantus passes it.
        **method_options: options of the method.

    Returns:
        Relevance ``[b, 1, H, W]``, unnormalised; 0 outside the patch grid.

    Raises:
        OptionError: ``model`` is not a scorer, or a target is not an index of a prompt.
        ImageError: ``inputs`` is not such a batch.
    """
    del device
    if not isinstance(model, Scorer):
        raise OptionError(
            f"model is {quoted(type(model).__name__)}; make one with model.scorer(prompts)"
        )
    view, encoded = model.view, model.encoded()
    pixels = check_pixels(view, inputs, looks=False)
    wanted = _indices(targets, len(pixels), len(model.prompts))
    check_state(view)
    variants = chosen_variants(view, ("image",), method, method_options)
    with naming_suspects(view):
        [explanations] = run(view, pixels, encoded, variants, "model", precision).values()
    heatmaps = []
    for explanation, index in zip(explanations, wanted, strict=True):
        assert explanation.maps is not None
        chosen = explanation.maps[index : index + 1]
        heatmaps.append(
            resample_to_image(chosen, explanation.geometry, interpolation=interpolation)
        )
    return torch.stack(heatmaps).nan_to_num(nan=0.0).numpy()


def _indices(targets: Any, count: int, prompts: int) -> list[int]:
    """Convert targets to indices of prompts.

    Raises:
        OptionError: they are not one non-negative integer for each input.
    """
    indices = np.asarray(targets.detach().cpu() if isinstance(targets, Tensor) else targets)
    integers = indices.dtype.kind in "iu" and indices.shape == (count,)
    if not integers or not bool(((indices >= 0) & (indices < prompts)).all()):
        raise OptionError(
            f"targets={quoted(targets)}: give {count} whole numbers from 0 to {prompts - 1}, the "
            "indices of the scorer's prompts"
        )
    return [int(index) for index in indices]
