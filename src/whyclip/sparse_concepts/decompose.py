"""Decompose an embedding into a few words of a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.errors import OptionError, check_choice, quoted
from whyclip.lexicon import nouns
from whyclip.matching.encode import (
    check_text_model,
    encode_images,
    image_sources,
    prompt_directions,
)
from whyclip.matching.evidence import ReferenceLike, opened
from whyclip.matching.store import Reference
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state, naming_suspects
from whyclip.sparse_concepts.coding import Floats, sparse_code, unit_rows
from whyclip.sparse_concepts.result import Concept, Concepts
from whyclip.sparse_concepts.sources import Source, source_of
from whyclip.types import Check, GeometryName, Precision

# Share of the largest weight; smaller weights are rounding errors of the solver.
_LEAST = 1e-3
# Embeddings that differ by less are equal up to the half precision of a reference, and no word
# describes their difference.
_SAME = 1e-3


@in_plain_state
def concepts(
    model: ModelView,
    source: Any,
    vocabulary: Sequence[str] | None = None,
    *,
    against: Any = None,
    reference: ReferenceLike | None = None,
    images: Any = None,
    penalty: float = 0.25,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
) -> Concepts:
    """Describe an image, a prompt, a difference or a folder by a few weighted words.

    The embedding ``z`` is approximated by a sum ``C w`` of words with ``w ≥ 0``:
    ``min ½‖C w − z‖² + λ Σ w``. CLIP has a modality gap between image and text embeddings.
    Therefore the mean of many images is subtracted from an image, and the mean of the vocabulary
    from each word and prompt; then both are scaled to length 1. SpLiCE: Bhalla et al., NeurIPS 2024
    (arXiv 2402.10376), with scikit-learn's Lasso. A listed word helps to reconstruct the embedding;
    its object need not be in the image.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`; not a plain classifier.
        source: an image, a prompt, or a folder, pattern or list of images, of which the mean is
            described. A string is a prompt unless it names images.
        vocabulary: list of words or prompts; default: the prompts of the reference, otherwise about
            1,300 everyday nouns.
        against: a second source; the result describes the difference of the two embeddings.
        reference: result of :func:`whyclip.reference`, or its file; provides the mean of the images
            and, with its prompts, the vocabulary.
        images: images for the mean, instead of a reference: a folder, a pattern, a list or a
            dataset. Required for images, but not for prompts or differences of two images.
        penalty: ``λ``, above 0; larger values give fewer words, and none from 1 on.
        geometry: as for :func:`whyclip.explain`.
        precision: as for :func:`whyclip.explain`.
        check: as for :func:`whyclip.explain`.

    Raises:
        InputError: the source or an option cannot be used, or the mean of the images is missing.
        UnsupportedModelError: the model has no text encoder.
    """
    check_asked(model, geometry, precision)
    check_choice("check", check, get_args(Check))
    check_state(model)
    check_text_model(model, "concepts")
    if isinstance(penalty, bool) or not isinstance(penalty, (int, float)) or not penalty > 0:
        raise OptionError(f"penalty={quoted(penalty)}: give a number above 0, for example 0.25")
    known = opened(reference)
    if known is not None:
        known.check(model, geometry)
    with naming_suspects(model):
        words, rows = _vocabulary(model, vocabulary, known, precision, check)
        first = source_of(model, source, geometry, precision, check)
        second = None if against is None else source_of(model, against, geometry, precision, check)
        sources = [first] if second is None else [first, second]
        apart = second is None or second.side != first.side
        mean_text = rows.mean(0)
        mean_image = np.zeros(model.width)
        if apart and any(each.side == "image" for each in sources):
            mean_image = _mean_image(model, known, images, geometry, precision, check)
    means = {"text": mean_text, "image": mean_image}

    def centred(each: Source) -> Floats:
        mean = means[each.side] if apart else np.zeros(model.width)
        return _array(each.embedding) - mean

    target = centred(first) if second is None else centred(first) - centred(second)
    if float(np.linalg.norm(target)) < _SAME:
        target = np.zeros_like(target)
    dictionary, target = unit_rows(rows - mean_text), unit_rows(target)
    weights = sparse_code(dictionary, target, float(penalty))
    rebuilt = weights @ dictionary
    length = float(np.linalg.norm(rebuilt))
    cosines = dictionary @ target
    least = _LEAST * weights.max()
    order = [int(i) for i in np.argsort(-weights, kind="stable") if weights[i] > least]
    return Concepts(
        model=model.name,
        source=first.label if second is None else f"{first.label} rather than {second.label}",
        rows=tuple(Concept(words[i], float(weights[i]), float(cosines[i])) for i in order),
        cosine=float(rebuilt @ target) / length if length > 0 else 0.0,
        penalty=float(penalty),
        vocabulary=len(words),
    )


def _vocabulary(
    model: ModelView,
    given: Sequence[str] | None,
    known: Reference | None,
    precision: Precision,
    check: Check,
) -> tuple[tuple[str, ...], Floats]:
    """Words and their unit embeddings ``[v, e]``.

    Raises:
        OptionError: there are fewer than two words.
    """
    if given is None and known is not None and len(known.prompts) > 1:
        return known.prompts, _array(known.text_rows[: len(known.prompts)])
    words = nouns() if given is None else given
    if isinstance(words, str) or not isinstance(words, Sequence):
        raise OptionError(f"vocabulary={quoted(words)}: give a list of words")
    for word in words:
        if not isinstance(word, str) or not word.strip():
            raise OptionError(f"vocabulary has {quoted(word)}; give non-empty strings")
    words = tuple(dict.fromkeys(words))
    if len(words) < 2:
        raise OptionError(f"vocabulary {quoted(list(words))}: give at least two words")
    return words, _array(prompt_directions(model, words, precision, check))


def _mean_image(
    model: ModelView,
    known: Reference | None,
    images: Any,
    geometry: GeometryName,
    precision: Precision,
    check: Check,
) -> Floats:
    """Mean of the unit embeddings of many images ``[e]``.

    Raises:
        OptionError: there are no images.
    """
    if images is not None:
        sources, _ = image_sources(images)
        rows = encode_images(model, sources, geometry, precision, check)
    elif known is not None and len(known.images):
        rows = known.image_rows
    else:
        raise OptionError(
            "concepts of an image need the mean of many images: give a reference or images"
        )
    mean: Floats = _array(rows).mean(0)
    return mean


def _array(rows: Tensor) -> Floats:
    values: Floats = rows.double().numpy()
    return values
