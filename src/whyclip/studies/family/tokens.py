"""Training on a fraction of the vocabulary: an optimiser step on all embeddings costs a tenth."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.models import ModelView


class SomeEmbeddings(nn.Module):
    """The embeddings of some tokens, found by the ids of the whole vocabulary.

    Args:
        table: all embeddings.
        ids: ``[n]`` distinct ids of the tokens.
    """

    def __init__(self, table: nn.Embedding, ids: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(table.weight.detach()[ids].clone())
        self.ids = ids
        self.row = torch.zeros(table.num_embeddings, dtype=torch.long, device=ids.device)
        self.row[ids] = torch.arange(len(ids), device=ids.device)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up embeddings ``[..., w]``."""
        return F.embedding(self.row[ids], self.weight)


@contextmanager
def some_tokens(view: ModelView, ids: Tensor) -> Iterator[None]:
    """Replace the text encoder's embeddings by those of some tokens.

    Afterwards, also after an error, the whole table is back, with what those have learned.

    Args:
        view: a model whose text encoder embeds by ``token_embedding``.
        ids: ids of all tokens that will be read, in any shape and number.
    """
    module = cast(Any, view.module)
    table: nn.Embedding = module.token_embedding
    part = SomeEmbeddings(table, ids.unique())
    module.token_embedding = part
    try:
        yield
    finally:
        module.token_embedding = table
        with torch.no_grad():
            table.weight[part.ids] = part.weight
