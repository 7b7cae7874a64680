"""Tokenizers that are plain functions, such as ``clip.tokenize``, compared with OpenCLIP's."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

from whyclip.errors import UnsupportedModelError


class FollowedTokenizer(SimpleTokenizer):
    """CLIP's tokenizer, compared with the user's own function at every call.

    A function returns ids without pieces. OpenCLIP's tokenizer returns both, and its pieces are
    valid if the ids are equal.

    Args:
        function: the user's function from texts to ids ``[n, context]``.
        context_length: number of positions.
    """

    def __init__(self, function: Callable[..., Any], context_length: int) -> None:
        super().__init__(context_length=context_length)
        self.function = function
        try:
            self.takes = frozenset(inspect.signature(function).parameters)
        except ValueError:
            self.takes = frozenset()

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Tokenize texts with both tokenizers: int64 ``[n, t]``.

        Raises:
            UnsupportedModelError: the ids differ.
        """
        texts = [texts] if isinstance(texts, str) else list(texts)
        expected = super().__call__(texts, context_length)
        wanted = {"context_length": expected.shape[1], "truncate": True}
        options = {key: value for key, value in wanted.items() if key in self.takes}
        ids = self.function(texts, **options)
        named = getattr(self.function, "__name__", type(self.function).__name__)
        if not isinstance(ids, Tensor) or ids.shape != expected.shape:
            described = list(ids.shape) if isinstance(ids, Tensor) else type(ids).__name__
            raise UnsupportedModelError(
                f"tokenizer {named} gives {described!r:.40}, not ids {list(expected.shape)}; give "
                "OpenCLIP's or transformers' tokenizer of the model"
            )
        for text, row, other in zip(texts, expected, ids.long().cpu(), strict=True):
            if not row.equal(other):
                raise UnsupportedModelError(
                    f"tokenizer {named} gives {text!r:.40} other ids than CLIP's; give OpenCLIP's "
                    "or transformers' tokenizer of the model"
                )
        return expected
