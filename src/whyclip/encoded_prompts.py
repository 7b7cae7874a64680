"""Prompts, encoded as directions in embedding space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.directions import fixed_directions
from whyclip.errors import PromptError, quoted
from whyclip.forward.forward_pass import ForwardPass, precision_context
from whyclip.forward.run import PassCheck, pass_check, run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import (
    Prompt,
    TextPrompt,
    Tokens,
    padding,
    parse_prompts,
    tokenize,
)
from whyclip.models import ModelView
from whyclip.models.classifier_head import ClassifierHead
from whyclip.models.state import is_altered
from whyclip.types import Check, Precision

# Strings per batch; a larger batch only needs more memory.
TEXTS_AT_ONCE = 64
# Up to this many strings, all go through the public entry point; beyond it, one per batch.
TEXTS_CHECKED = 16


@dataclass(frozen=True)
class EncodedPrompts:
    """Encoded prompts and contrast prompts.

    Attributes:
        prompts: the user's prompts, in order.
        tokens: all template strings of all prompts, in order; None without text prompts.
        strings: for each prompt, the indices of its template strings.
        forward_passes: the text encoder's forward passes, ``TEXTS_AT_ONCE`` strings each.
        fixed: ``[n, e]`` unit directions of image and tensor prompts, zeros for text prompts.
        scale: the model's factor from score to logit.
        against: ``[e]`` mean unit direction of the contrast prompts, or None.
        others: the contrast prompts.
        empty: ``[e]`` unit embedding of the empty string, if a method needs it.
        bias: ``[n]`` biases of a plain classifier's logits; ``fixed`` are then rows of its last
            layer.
        own_fixed: ``fixed`` from the library's own pipeline, if it preprocesses an image
            differently.
        own_against: ``against`` from the model's public entry point.
        changes: sentences that describe how image prompts differ from the library's preprocessing.
        altered: whether something in the model was hooked or replaced during encoding.
    """

    prompts: tuple[Prompt, ...]
    tokens: Tokens | None
    strings: tuple[tuple[int, ...], ...]
    forward_passes: tuple[ForwardPass, ...]
    fixed: Tensor
    scale: float
    against: Tensor | None = None
    others: tuple[Prompt, ...] = ()
    empty: Tensor | None = None
    bias: Tensor | None = None
    own_fixed: Tensor | None = None
    own_against: Tensor | None = None
    changes: tuple[str, ...] = ()
    altered: bool = False

    @property
    def strings_total(self) -> int:
        """Number of encoded strings."""
        return sum(len(forward_pass.inputs) for forward_pass in self.forward_passes)

    @property
    def checked(self) -> int:
        """Number of strings that went through the model's public entry point."""
        return sum(forward_pass.checked for forward_pass in self.forward_passes)

    def contrast(self, embedding: Tensor) -> list[tuple[tuple[float, float], ...]]:
        """Return each prompt's score and the mean score of the contrast prompts, for each image.

        Both are the model's own. The list is empty without contrast prompts.

        Args:
            embedding: ``[b, e]`` of the images.
        """
        if self.against is None:
            return []
        alone = replace(self, against=None, own_against=None).own_targets().score(embedding)
        differences = self.own_targets().score(embedding)
        return [
            tuple(zip(scores.tolist(), (scores - difference).tolist(), strict=True))
            for scores, difference in zip(alone, differences, strict=True)
        ]

    @property
    def embeddings(self) -> Tensor:
        """Embeddings ``[p, e]`` of all template strings, from the explained pass."""
        if not self.forward_passes:
            return self.fixed[:0]
        return torch.cat([forward_pass.embedding for forward_pass in self.forward_passes])

    @property
    def own_embeddings(self) -> Tensor:
        """Embeddings ``[p, e]`` from the model's public entry point, if it ran on the string."""
        if not self.forward_passes:
            return self.fixed[:0]
        return torch.cat([forward_pass.public for forward_pass in self.forward_passes])

    def unit_directions(self, embeddings: Tensor) -> Tensor:
        """One unit direction per prompt ``[n, e]``, from embeddings of its strings ``[p, e]``.

        An ensemble is the normalised mean of its templates' normalised embeddings, as in
        zero-shot classification with CLIP.
        """
        directions = self.fixed.clone()
        unit = F.normalize(embeddings.float(), dim=-1)
        for index, strings in enumerate(self.strings):
            if strings:
                directions[index] = F.normalize(unit[list(strings)].mean(0), dim=-1)
        return directions

    def targets(self, embeddings: Tensor | None = None) -> Targets:
        """Make targets from embeddings of the strings ``[p, e]``; the explained ones by default."""
        unit = self.unit_directions(self.embeddings if embeddings is None else embeddings)
        if self.against is None:
            return Targets(unit, self.scale, self.empty, self.bias)
        # The empty string's embedding cancels in the difference of two directions.
        nothing = None if self.empty is None else torch.zeros_like(self.empty)
        return Targets(unit - self.against, self.scale, nothing, self.bias)

    def own_targets(self) -> Targets:
        """Make targets from the library's own pipeline."""
        fixed = self.fixed if self.own_fixed is None else self.own_fixed
        against = self.against if self.own_against is None else self.own_against
        return replace(self, fixed=fixed, against=against).targets(self.own_embeddings)


def encode_prompts(
    view: ModelView,
    prompts: Any,
    against: Any = None,
    *,
    keep: int = 0,
    whole_context: bool = False,
    empty: bool = False,
    precision: Precision = "fp32",
    check: Check = "auto",
) -> EncodedPrompts:
    """Parse prompts and encode them.

    Args:
        view: the model.
        prompts: in a form that :func:`~whyclip.inputs.parse_prompts` accepts.
        against: contrast prompts in the same form, or None; their mean direction is subtracted.
        keep: number of last text blocks that methods need.
        whole_context: whether to keep the padding after the texts, for methods that use it.
        empty: whether to encode the empty string, too.
        precision: of the forward pass.
        check: how many strings go through the model's public entry point; see
            :func:`whyclip.explain`.

    Raises:
        PromptError: a prompt cannot be used, or a direction has the wrong width.
    """
    altered = is_altered(view)
    parsed = parse_prompts(prompts)
    encoded = _encode(view, parsed, keep, whole_context, precision, check, altered)
    if empty:
        encoded = replace(encoded, empty=_encode_empty(view, precision))
    if against is None:
        return encoded
    other = _encode(view, parse_prompts(against), 0, False, precision, check, altered)
    mean, library_mean = (o.directions.mean(0) for o in (other.targets(), other.own_targets()))
    bias = encoded.bias
    if bias is not None and other.bias is not None:
        bias = bias - other.bias.mean()
    return replace(
        encoded,
        against=mean,
        own_against=library_mean,
        others=other.prompts,
        bias=bias,
        changes=(*encoded.changes, *other.changes),
    )


def _encode(
    view: ModelView,
    prompts: tuple[Prompt, ...],
    keep: int,
    whole_context: bool,
    precision: Precision,
    check: Check,
    altered: bool,
) -> EncodedPrompts:
    if view.classes is not None:
        return replace(_encode_classes(view, view.classes, prompts), altered=altered)
    texts: list[str] = []
    strings: list[tuple[int, ...]] = []
    for prompt in prompts:
        templates = prompt.templates if isinstance(prompt, TextPrompt) else ()
        strings.append(tuple(range(len(texts), len(texts) + len(templates))))
        texts.extend(templates)
    reads = view.text.readout_index if view.text.causal else None
    tokens = tokenize(view.tokenizer, texts, view.text.context, reads) if texts else None
    pad = padding(view.tokenizer, view.text.context) if texts else 0
    forward_passes: list[ForwardPass] = []
    nothing = Targets(torch.empty(0, 0))
    for part, how in text_batches(len(texts), check, altered=altered) if texts else ():
        assert tokens is not None
        forward_passes.append(
            run_tower(
                view.text,
                tokens.ids[part],
                nothing,
                keep=keep,
                precision=precision,
                words=tokens.groups[part],
                pad=pad,
                whole_context=whole_context,
                check=how,
            )
        )
    fixed, own_fixed, changes = fixed_directions(
        view, prompts, precision, pass_check(check, altered=altered)
    )
    return EncodedPrompts(
        prompts,
        tokens,
        tuple(strings),
        tuple(forward_passes),
        fixed,
        scale=view.logit_scale,
        own_fixed=own_fixed,
        changes=changes,
        altered=altered,
    )


def text_batches(
    count: int, check: Check, *, altered: bool = False
) -> Iterator[tuple[slice, PassCheck]]:
    """Split strings into batches, and choose the check of each."""
    first = TEXTS_CHECKED if check == "auto" and not altered else TEXTS_AT_ONCE
    yield slice(0, first), pass_check(check, altered=altered)
    for start in range(first, count, TEXTS_AT_ONCE):
        how = pass_check(check, altered=altered, first=False)
        yield slice(start, start + TEXTS_AT_ONCE), how


def _encode_classes(
    view: ModelView, classes: ClassifierHead, prompts: tuple[Prompt, ...]
) -> EncodedPrompts:
    """Return rows and biases of a classifier's classes; an ensemble is their mean."""
    rows, biases = [], []
    for prompt in prompts:
        if not isinstance(prompt, TextPrompt):
            raise PromptError(
                f"{quoted(prompt.label)}: {view.name} is a classifier, its prompts are class "
                f"names, such as {classes.names[0]!r}"
            )
        indices = [classes.index(name) for name in prompt.templates]
        rows.append(classes.weight[indices].mean(0))
        biases.append(classes.bias[indices].mean())
    nothing: tuple[tuple[int, ...], ...] = ((),) * len(prompts)
    return EncodedPrompts(
        prompts, None, nothing, (), torch.stack(rows), scale=1.0, bias=torch.stack(biases)
    )


def _encode_empty(view: ModelView, precision: Precision) -> Tensor:
    """Unit embedding ``[e]`` of the empty string; empty for a model without a text encoder."""
    if view.classes is not None:
        return torch.zeros(view.width, device=view.image.device)
    ids = tokenize(view.tokenizer, [""], view.text.context).ids.to(view.text.device)
    with torch.no_grad(), precision_context(view.text.device, precision):
        return F.normalize(view.text.encode(ids)[0].float(), dim=-1)
