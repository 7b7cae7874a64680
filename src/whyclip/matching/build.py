"""Build a reference: embed a list of prompts and a collection of images once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

import torch

from whyclip.ambient import in_plain_state
from whyclip.errors import OptionError, PromptError, check_choice, quoted
from whyclip.lexicon import nonsense as nonsense_strings
from whyclip.lexicon import nouns
from whyclip.matching.encode import (
    check_text_model,
    encode_images,
    image_sources,
    prompt_directions,
)
from whyclip.matching.store import Reference
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state, naming_suspects
from whyclip.types import Check, GeometryName, Precision

EVERYDAY = "everyday words"


@in_plain_state
def reference(
    model: ModelView,
    images: Any = None,
    prompts: Sequence[str] | None = None,
    *,
    template: str = "{}",
    nonsense: Sequence[str] | None = None,
    rate: float = 0.05,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
) -> Reference:
    """Embed many prompts and many images, to judge later whether a score indicates a match.

    A prompt is ranked among the scores of one image with many prompts, an image among the scores of
    one prompt with many images. Scores are computed from stored embeddings, so the prompts
    explained later need not be in the reference. Embeddings are stored in half precision, which
    changes scores by less than 0.001.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`; not a plain classifier.
        images: a folder, a pattern such as ``"photos/*.jpg"``, a list of images, or a dataset; None
            for a reference with prompts only. Use images from the same source as the images to
            explain.
        prompts: list of prompts; default: about 1,300 everyday nouns. Pass an empty list for a
            reference with images only.
        template: prompt template in which ``{}`` is replaced by each prompt and nonsense string.
        nonsense: meaningless strings; default: 20 strings if ``prompts`` is None, otherwise none.
        rate: false-match rate of the thresholds that explanations show, 0 to 1.
        geometry: as for :func:`whyclip.explain`.
        precision: precision of the forward pass, as for :func:`whyclip.explain`.
        check: as for :func:`whyclip.explain`.

    Raises:
        InputError: an image, prompt or option cannot be used.
        UnsupportedModelError: the model has no text encoder.
    """
    check_asked(model, geometry, precision)
    check_choice("check", check, get_args(Check))
    check_state(model)
    check_text_model(model, "a reference")
    if not isinstance(rate, (int, float)) or not 0 < rate < 1:
        raise OptionError(f"rate={quoted(rate)}: give a false-match rate between 0 and 1")
    if not isinstance(template, str) or "{}" not in template:
        raise OptionError(f"template={quoted(template)}: mark the place of the prompt with {{}}")
    default = prompts is None
    texts = _listed("prompts", nouns() if prompts is None else prompts)
    if nonsense is None:
        nonsense = nonsense_strings() if default else ()
    without_meaning = _listed("nonsense", nonsense)
    if images is None and not texts:
        raise OptionError(
            "neither images nor prompts given; a reference needs at least one of them"
        )
    sources, names = ([], ()) if images is None else image_sources(images)
    filled = [template.replace("{}", text) for text in (*texts, *without_meaning)]
    with naming_suspects(model):
        rows = (
            prompt_directions(model, filled, precision, check)
            if filled
            else torch.empty(0, model.width)
        )
        image_rows = encode_images(model, sources, geometry, precision, check)
    return Reference(
        model=model.name,
        fingerprint=model.fingerprint,
        geometry=geometry,
        prompts=tuple(filled[: len(texts)]),
        nonsense=tuple(filled[len(texts) :]),
        images=names,
        prompt_kind=EVERYDAY if default else "reference prompts",
        rate=float(rate),
        text_embeddings=rows.half(),
        image_embeddings=image_rows.half(),
    )


def _listed(name: str, given: Any) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise PromptError(f"{name}={quoted(given)}: give a list of strings")
    for text in given:
        if not isinstance(text, str) or not text.strip():
            raise PromptError(f"{name} has {quoted(text)}; give non-empty strings")
    return tuple(dict.fromkeys(given))
