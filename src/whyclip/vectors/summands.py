"""Vectors from tokens' contributions to the readout token's stream; see ``methods/paths.py``."""

from __future__ import annotations

from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.paths import Paths, direct_paths, readout_paths
from whyclip.vectors.vectors import Vectors


def readout(forward_pass: ForwardPass, along: Tensor | None = None) -> Vectors:
    """Decompose by readout paths; see :func:`whyclip.methods.paths.readout_paths`."""
    return _of(readout_paths(forward_pass), along)


def direct(forward_pass: ForwardPass, along: Tensor | None = None) -> Vectors:
    """Decompose by direct contributions; see :func:`whyclip.methods.paths.direct_paths`."""
    return _of(direct_paths(forward_pass), along)


def _of(paths: Paths, along: Tensor | None) -> Vectors:
    tokens = paths.tokens[0]
    remainders = {name: vector[0] for name, vector in paths.remainders.items()}
    if along is not None:
        directions = along.to(tokens)
        tokens = tokens @ directions.T
        remainders = {name: directions @ vector for name, vector in remainders.items()}
    return Vectors(tokens, paths.embedding[0], remainders)
