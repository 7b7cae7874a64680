"""A tiny model and five pictures of noise, for every experiment."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import reference
import tiny
import whyclip
from pictures import Pictures
from whyclip.studies.experiments import ExperimentInput

PARTS = tiny.openclip_parts()


class Plain:
    """The same model by the library alone, and written out from its weights."""

    def __init__(self) -> None:
        self.model, self.preprocess, self.tokenizer = PARTS
        self.image_tower, self.text_tower = reference.towers_of(self.model)

    @torch.no_grad()
    def texts(self, *prompts: str) -> Tensor:
        """Unit embeddings ``[n, e]``."""
        embeddings = self.model.encode_text(self.tokenizer(list(prompts)))
        return embeddings / embeddings.norm(dim=-1, keepdim=True)

    @torch.no_grad()
    def image(self, picture: Any) -> Tensor:
        """A unit embedding ``[e]``."""
        embedding = self.model.encode_image(self.preprocess(picture)[None])[0]
        return embedding / embedding.norm()

    def tokens(self, picture: Any) -> Tensor:
        """What enters the first block, ``[t, w]`` in float64."""
        return reference.stem_image(self.image_tower, self.preprocess(picture).double())


@pytest.fixture(scope="session")
def plain() -> Plain:
    return Plain()


@pytest.fixture(scope="session")
def setting() -> ExperimentInput:
    return ExperimentInput(whyclip.wrap(*PARTS), Pictures(), seed=0, data="pictures")
