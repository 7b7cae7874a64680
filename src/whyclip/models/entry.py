"""Call the model as a whole, for models whose ``forward`` was hooked or replaced.

``encode_image`` and ``encode_text`` do not run hooks on the model itself, but
``model(image, text)`` does. If there are hooks, both must give the same scores.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import ScoreMismatchError
from whyclip.models.openclip.openai_clip import is_openai
from whyclip.models.state import altered
from whyclip.models.view import ModelView


def answers_as_a_whole(model: ModelView) -> bool:
    """Whether calling the model itself may differ from its encoders.

    This is possible if it has hooks or a replaced ``forward``, or if its last layer gives classes.
    """
    module = model.module
    return module is not None and (model.classes is not None or bool(altered(module)))


@torch.no_grad()
def joint_scores(model: ModelView, pixels: Tensor, ids: Tensor | None) -> Tensor:
    """Call the model itself: cosines ``[b, p]``, or a classifier's logits ``[b, k]``.

    Args:
        model: the model.
        pixels: ``[b, 3, H, W]``.
        ids: ``[p, t]`` full contexts; None for a classifier.

    Raises:
        ScoreMismatchError: its ``forward`` cannot be called, or gives no scores.
    """
    module: Any = model.module
    pixels = pixels.to(model.image.device)
    try:
        if ids is None:
            return module(pixel_values=pixels).logits.float()
        ids = ids.to(model.text.device)
        if is_openai(module):
            # It returns logits; OpenCLIP's returns embeddings.
            return module(pixels, ids)[0].float() / model.logit_scale
        if hasattr(module, "visual"):
            return _cosines(module(pixels, ids))
        arguments = {"pixel_values": pixels, "input_ids": ids}
        pad = getattr(model.text, "pad", None)
        if pad is not None:
            arguments["attention_mask"] = (ids != pad).long()
        if type(module).__name__.startswith("Blip"):
            return module(**arguments, use_itm_head=False).itm_score.float()
        logits = module(**arguments).logits_per_image.float()
    except Exception as error:
        raise ScoreMismatchError(
            f"{model.name}: the model has hooks or a replaced forward, and calling it as a whole "
            f"fails ({type(error).__name__}); remove them before explaining"
        ) from error
    return (logits - (model.logit_bias or 0.0)) / model.logit_scale


def _cosines(output: Any) -> Tensor:
    """Compute cosines from the output of OpenCLIP's ``forward``, a tuple or a dictionary."""
    named = isinstance(output, dict)
    image = output["image_features"] if named else output[0]
    text = output["text_features"] if named else output[1]
    return F.normalize(image.float(), dim=-1) @ F.normalize(text.float(), dim=-1).T
