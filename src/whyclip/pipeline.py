"""Compute explanations of images and prompts, with any number of methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.assemble import Setting, SideResult, checked_of, explanations
from whyclip.audit_index import Audits
from whyclip.batches import IMAGES_AT_ONCE, Batch, batches
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.errors import ScoreMismatchError, UnsupportedModelError
from whyclip.explanation import Explanation
from whyclip.forward.fidelity import tolerance_of, worst_mismatch
from whyclip.forward.forward_pass import ForwardPass
from whyclip.forward.run import pass_check
from whyclip.forward.targets import Targets
from whyclip.image_pass import ImagePass, run_images
from whyclip.inputs import ImageSource, word_relevance
from whyclip.matching.evidence import ReferenceScores
from whyclip.models import ModelView
from whyclip.models.entry import answers_as_a_whole, joint_scores
from whyclip.models.health import first_not_finite
from whyclip.progress import track
from whyclip.types import Check, GeometryName, Precision, Side, Word
from whyclip.variant import Variant

# Number of prompts with which a model with a replaced forward is run as a whole.
TEXTS_WHOLE = 4


def run(
    model: ModelView,
    sources: Sequence[ImageSource] | Batch,
    encoded: EncodedPrompts,
    variants: Sequence[Variant],
    geometry: GeometryName,
    precision: Precision,
    check: Check = "auto",
    reference: ReferenceScores | None = None,
) -> dict[str, list[Explanation]]:
    """Explain every source with every variant; other arguments as in :func:`whyclip.explain`."""
    results: dict[str, list[Explanation]] = {variant.label: [] for variant in variants}
    targets = encoded.targets()
    at_once = 1 if geometry == "keep" else IMAGES_AT_ONCE
    total = -(-len(sources) // at_once)
    audits = Audits(model)
    for number, batch in enumerate(track(batches(model, sources, geometry), "explaining", total)):
        blocks = max(variant.blocks_needed(model.image) for variant in variants)
        how = pass_check(check, altered=encoded.altered, first=number == 0)
        images = run_images(model, batch, targets, blocks, precision, how)
        if number == 0 and check != "none" and answers_as_a_whole(model):
            check_whole(model, encoded, images.library_pixels, images.library_pass)
        checked = checked_of(images.library_pass, encoded, sources)
        for label, batch_results in explain_images(
            model, images, encoded, variants, checked, audits, reference
        ).items():
            results[label] += batch_results
    return results


def explain_images(
    model: ModelView,
    images: ImagePass,
    encoded: EncodedPrompts,
    variants: Sequence[Variant],
    checked: Sequence[Mapping[Side, tuple[int, int]]],
    audits: Audits,
    reference: ReferenceScores | None = None,
    notes: Sequence[tuple[str, ...]] | None = None,
) -> dict[str, list[Explanation]]:
    """Explain a batch from its forward passes; return one explanation per image for each label.

    Args:
        model: the model that ran.
        images: the passes, with the targets of ``encoded``.
        encoded: the prompts.
        variants: methods with their options.
        checked: for each image the certificate's ``checked``.
        audits: looks up the last audit of this model.
        reference: other prompts and images that the scores are compared with.
        notes: from :func:`notes_on` these images, if the caller keeps them.

    Raises:
        ScoreMismatchError: a method explains a score that differs from the declared one.
        UnsupportedModelError: scores or relevance are not finite.
    """
    # Image prompts are explained with whyclip's preprocessing, even if the library's differs.
    own_targets = encoded.targets() if encoded.changes else encoded.own_targets()
    forward_pass = images.forward_pass
    if notes is None:
        notes = notes_on(model, images)
    matches = reference.matches(forward_pass.embedding) if reference else ((),) * len(notes)
    setting = Setting(
        model, encoded, images.batch, images.library_pass, notes, checked, audits, matches
    )
    results: dict[str, list[Explanation]] = {}
    for variant in variants:
        sides = attribute(variant, encoded, forward_pass)
        model_scores = own_targets.score(forward_pass.public).cpu()
        check_results(model, encoded, images.library_pass, variant, sides, model_scores)
        results[variant.label] = list(explanations(setting, variant, sides))
    return results


def notes_on(model: ModelView, images: ImagePass) -> list[tuple[str, ...]]:
    """Return each image's warnings if it is unlike the model's training images."""
    pixels = images.library_pixels
    return model.domain.notes(pixels) if model.domain else [()] * len(pixels)


def attribute(
    variant: Variant, encoded: EncodedPrompts, forward_pass: ForwardPass
) -> dict[Side, SideResult]:
    """Explain a batch of images and all prompts with one variant, on each of its sides.

    Args:
        variant: a method with its options.
        encoded: the prompts.
        forward_pass: of the images, with the targets of ``encoded``.
    """
    results: dict[Side, SideResult] = {}
    if "image" in variant.sides:
        results["image"] = attribute_image(variant, forward_pass)
    if "text" in variant.sides and encoded.tokens is not None:
        results["text"] = attribute_text(variant, encoded, forward_pass.embedding)
    return results


def check_whole(
    model: ModelView, encoded: EncodedPrompts, pixels: Tensor, library_pass: ForwardPass
) -> None:
    """Compare the encoders with the model called as a whole, on one image and a few prompts.

    Raises:
        ScoreMismatchError: the two give different scores.
    """
    ids = None if encoded.tokens is None else encoded.tokens.ids[:TEXTS_WHOLE]
    if ids is None and model.classes is None:
        return
    joint = joint_scores(model, pixels[:1], ids)
    if model.classes is not None:
        ours = Targets(model.classes.weight, bias=model.classes.bias).score(library_pass.public[:1])
    else:
        texts = F.normalize(encoded.own_embeddings[:TEXTS_WHOLE], dim=-1)
        ours = Targets(texts).score(library_pass.public[:1])
    worst = worst_mismatch(ours, joint, tolerance_of(model.towers, library_pass.precision))
    if worst is not None:
        raise ScoreMismatchError(
            f"{model.name}: its encoders give score {worst[0]:.4g}, the model called as a whole "
            f"gives {worst[1]:.4g}"
        )


def check_results(
    model: ModelView,
    encoded: EncodedPrompts,
    library_pass: ForwardPass,
    variant: Variant,
    results: Mapping[Side, SideResult],
    model_scores: Tensor,
) -> None:
    """Check that results are finite and that scores are the model's own.

    Args:
        model: the model that ran.
        encoded: the prompts.
        library_pass: the pass over the images as the library's own pipeline prepares them.
        variant: a method with its options.
        results: its result on each side.
        model_scores: ``[b, n]`` the model's own scores.

    Raises:
        ScoreMismatchError: the method declares no change but explains another score.
        UnsupportedModelError: relevance or scores are NaN or infinite.
    """
    name, tolerance = variant.method.name, tolerance_of(model.towers, library_pass.precision)
    labels = [prompt.label for prompt in encoded.prompts]
    for side, result in results.items():
        differences = (result.scores - model_scores).abs()
        finite = torch.isfinite(model_scores) & torch.isfinite(result.scores)
        if not finite.all():
            image, prompt = (~finite).nonzero()[0].tolist()
            pixels = library_pass.inputs[image : image + 1]
            raise UnsupportedModelError(
                f"{model.name} gives NaN or infinity for image #{image + 1} and prompt "
                f"{labels[prompt]!r:.40}, from {first_not_finite(model.image, pixels)} on; "
                "check its weights and its precision"
            )
        if not result.changes and not bool((differences <= tolerance).all()):
            image, prompt = (differences > tolerance).nonzero()[0].tolist()
            raise ScoreMismatchError(
                f"{name} explains score {result.scores[image, prompt]:.4g} ({side} side), but "
                f"{model.name} gives {model_scores[image, prompt]:.4g} for {labels[prompt]!r:.60}"
                + ("; use precision 'fp32'" if library_pass.precision != "fp32" else "")
            )
        values = [] if result.maps is None else [result.maps]
        values += [torch.tensor(r) for r in _relevances(result.words or ())]
        if any(not torch.isfinite(value).all() for value in values):
            raise UnsupportedModelError(
                f"{name} gives relevance that is NaN or infinite on the {side} side of "
                f"{model.name}; try --precision fp32 or another method"
            )


def _relevances(words: Sequence[tuple[tuple[Word, ...], ...]]) -> list[list[float]]:
    return [[word.relevance for word in prompt] for image in words for prompt in image]


def attribute_image(variant: Variant, forward_pass: ForwardPass) -> SideResult:
    """Explain every image of a batch for every target of its forward pass."""
    result = variant.relevance(forward_pass)
    grid = forward_pass.stream.grid or (1, result.values.shape[-1])
    scores = forward_pass.targets.score(result.embedding).cpu()
    maps = result.values.detach().float().cpu().unflatten(-1, grid)
    return SideResult(scores, result.changes, result.diagnostics, result.embedding, maps=maps)


def attribute_text(variant: Variant, encoded: EncodedPrompts, embedding: Tensor) -> SideResult:
    """Explain every string for every image of the batch, in chunks of strings.

    Args:
        variant: a method with its options.
        encoded: the prompts.
        embedding: image embeddings ``[b, e]`` of the image side, so that both sides explain the
            same score.
    """
    images = Targets(F.normalize(embedding, dim=-1), encoded.scale)
    values: list[Tensor] = []
    embeddings: list[Tensor] = []
    changes: tuple[str, ...] = ()
    checks: list[Mapping[str, Tensor]] = []
    for forward_pass in encoded.forward_passes:
        result = variant.relevance(forward_pass.with_targets(images))
        checks.append(result.diagnostics)
        values += list(result.values.detach().float().cpu())
        embeddings.append(result.embedding)
        changes = result.changes
        if len(encoded.forward_passes) > 1:
            forward_pass.forget()
    ended = torch.cat(embeddings)
    scores = encoded.targets(ended).score(embedding).cpu()
    words = [_words(encoded, [v[image] for v in values]) for image in range(len(embedding))]
    return SideResult(scores, changes, _by_prompt(encoded, checks), ended, words=words)


def _by_prompt(
    encoded: EncodedPrompts, checks: Sequence[Mapping[str, Tensor]]
) -> dict[str, Tensor]:
    """Convert diagnostics ``[strings, b]`` to ``[b, n]``; for an ensemble, the largest."""
    by_prompt = {}
    for name in checks[0]:
        by_string = torch.cat([part[name] for part in checks])
        columns = [
            _largest(by_string[list(strings)]) if strings else torch.zeros(by_string.shape[1])
            for strings in encoded.strings
        ]
        by_prompt[name] = torch.stack(columns, 1)
    return by_prompt


def _largest(values: Tensor) -> Tensor:
    """Value farthest from zero in each column of ``[strings, b]``."""
    return values.gather(0, values.abs().argmax(0, keepdim=True))[0]


def _words(encoded: EncodedPrompts, values: Sequence[Tensor]) -> tuple[tuple[Word, ...], ...]:
    """Sum the pieces' values ``[t]`` of every string over the words of every prompt."""
    tokens = encoded.tokens
    assert tokens is not None
    return tuple(
        tuple(
            word
            for template, s in enumerate(strings)
            for word in word_relevance(
                tokens.words[s],
                tokens.spans[s],
                values[s][list(tokens.positions[s])].tolist(),
                template,
            )
        )
        for strings in encoded.strings
    )
