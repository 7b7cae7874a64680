"""Prompts that are not text: images and directions in embedding space."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import PromptError, quoted
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import PassCheck, run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import DirectionPrompt, ImagePrompt, Prompt
from whyclip.inputs.decoding import library_reading
from whyclip.models import ModelView, model_inputs
from whyclip.types import Precision


def fixed_directions(
    view: ModelView, prompts: tuple[Prompt, ...], precision: Precision, how: PassCheck
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Embed prompts that are images or directions.

    Returns:
        Unit directions ``[n, e]``, zeros for text prompts; the directions from the library's own
        pipeline, which may preprocess an image differently; and sentences that describe the
        differences.

    Raises:
        PromptError: a direction has the wrong width.
    """
    directions = torch.zeros(len(prompts), view.width, device=view.image.device)
    library_directions, changes = directions.clone(), []
    for index, prompt in enumerate(prompts):
        if isinstance(prompt, ImagePrompt):
            explained, by_library, change = encode_image(view, prompt, precision, how)
            directions[index], library_directions[index] = explained, by_library
            changes += [f"{prompt.label}: {change}"] if change else []
        elif isinstance(prompt, DirectionPrompt):
            if len(prompt.vector) != view.width:
                raise PromptError(
                    f"{quoted(prompt.label)} has {len(prompt.vector)} numbers, but embeddings of "
                    f"{view.name} have {view.width}"
                )
            directions[index] = library_directions[index] = F.normalize(prompt.vector, dim=-1)
    return directions, library_directions, tuple(changes)


def encode_image(
    view: ModelView, prompt: ImagePrompt, precision: Precision, how: PassCheck
) -> tuple[Tensor, Tensor, str]:
    """Embed another image.

    Returns:
        Its unit embedding ``[e]`` with whyclip's preprocessing, the one with the library's
        preprocessing, and a sentence that describes the difference, empty if there is none.
    """
    [(pixels, _)] = model_inputs(view, [prompt.image])
    library_input, change = library_reading(view.preprocess, prompt.source, pixels)

    def run(pixels: Tensor) -> ForwardPass:
        nothing = Targets(torch.empty(0, 0))
        return run_tower(view.image, pixels[None], nothing, keep=0, precision=precision, check=how)

    explained = run(pixels)
    library_pass = run(library_input) if change else explained
    return (
        F.normalize(explained.embedding[0], dim=-1),
        F.normalize(library_pass.public[0], dim=-1),
        change,
    )
