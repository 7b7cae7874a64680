"""Names of parts that belong to no word and no patch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.vectors.vectors import Vectors

UNATTRIBUTED = "unattributed"


def image_remainders(forward_pass: ForwardPass, vectors: Vectors) -> dict[str, Tensor]:
    """Return the image's remainders ``[k]`` by name: class token, other tokens, and the rest."""
    names = {}
    row = int(forward_pass.stream.readout_index[0])
    for position in (~forward_pass.content_mask[0]).nonzero()[:, 0].tolist():
        is_class_token = position == row and not forward_pass.tower.has_pooling_head
        names[position] = "CLS" if is_class_token else "other tokens"
    return _gathered(vectors, names)


def text_remainders(
    forward_pass: ForwardPass, vectors: Vectors, pieces: Sequence[int]
) -> dict[str, Tensor]:
    """Return the text's remainders ``[k]`` by name: start, end and padding tokens, and the rest.

    Args:
        forward_pass: forward pass of one text.
        vectors: vectors of its embedding.
        pieces: positions of the tokens that are pieces of the prompt.
    """
    ids = forward_pass.inputs[0].tolist()
    row, first = int(forward_pass.stream.readout_index[0]), min(pieces, default=0)
    names = {}
    for position in range(forward_pass.content_mask.shape[1]):
        if position in pieces:
            continue
        if position >= len(ids) or position == row == 0:
            # A class token is the first token, or was appended to the text.
            name = "CLS"
        elif position < first:
            name = "BOS"
        else:
            name = "padding" if ids[position] == forward_pass.pad and position != row else "EOS"
        names[position] = name
    return _gathered(vectors, names)


def _gathered(vectors: Vectors, names: dict[int, str]) -> dict[str, Tensor]:
    """Sum the tokens of each name; names without tokens are skipped."""
    sums: dict[str, Tensor] = {}
    for position, name in names.items():
        sums[name] = sums.get(name, torch.zeros_like(vectors.tokens[0])) + vectors.tokens[position]
    sums = {name: vector for name, vector in sums.items() if bool(vector.any())}
    sums |= vectors.remainders
    if vectors.unattributed is not None:
        sums[UNATTRIBUTED] = vectors.unattributed
    return sums
