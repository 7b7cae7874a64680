"""Embeddings of perturbed images and prompts by the model."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from whyclip.forward.forward_pass import precision_context
from whyclip.inputs import tokenize
from whyclip.inputs.preprocessing import run_preprocess
from whyclip.models import ModelView
from whyclip.perturbation.fills import Pixels
from whyclip.types import Precision


@dataclass(frozen=True)
class Encoder:
    """Encoder with the model's own preprocessing and forward passes.

    Embeddings are float32 on the CPU and not normalised.
    """

    model: ModelView
    precision: Precision = "fp32"
    batch_size: int = 64
    workers: ThreadPoolExecutor = field(default_factory=ThreadPoolExecutor, repr=False)

    @torch.no_grad()
    def images(self, pixels: Sequence[Pixels]) -> Tensor:
        """Embed images uint8 ``[H, W, 3]`` of any size, as one batch: ``[m, e]``.

        The libraries' preprocessing releases the GIL, so images are prepared in parallel threads.
        """
        tower = self.model.image
        batch = torch.stack(list(self.workers.map(self._prepared, pixels)))
        with precision_context(tower.device, self.precision):
            return tower.encode(batch.to(tower.device)).float().cpu()

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Embed each distinct prompt once ``[e]``, ``batch_size`` at a time."""
        tower = self.model.text
        different = list(dict.fromkeys(texts))
        embeddings: dict[str, Tensor] = {}
        for start in range(0, len(different), self.batch_size):
            part = different[start : start + self.batch_size]
            ids = tokenize(self.model.tokenizer, part, tower.context).ids.to(tower.device)
            with precision_context(tower.device, self.precision):
                embeddings |= zip(part, tower.encode(ids).float().cpu(), strict=True)
        return embeddings

    def _prepared(self, pixels: Pixels) -> Tensor:
        return run_preprocess(self.model.preprocess, Image.fromarray(pixels))


class TextDirections:
    """Unit embeddings of prompts by the model's encoder; each distinct prompt is encoded once."""

    def __init__(self, encoder: Encoder) -> None:
        """Create an empty cache."""
        self.encoder = encoder
        self._known: dict[str, Tensor] = {}

    def encode(self, texts: Sequence[str]) -> None:
        """Encode the prompts that are not cached yet, in full batches."""
        new = self.encoder.texts([text for text in texts if text not in self._known])
        self._known |= {text: F.normalize(row, dim=-1) for text, row in new.items()}

    def directions(self, texts: Sequence[str]) -> Tensor:
        """Unit embeddings ``[m, e]`` on the CPU."""
        self.encode(texts)
        return torch.stack([self._known[text] for text in texts])
