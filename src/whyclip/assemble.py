"""Build explanations and their certificates from the results of methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, replace

from torch import Tensor

from whyclip.audit_index import Audits
from whyclip.batches import IMAGES_AT_ONCE, Batch
from whyclip.certificate import Certificate
from whyclip.encoded_prompts import EncodedPrompts
from whyclip.explanation import Explanation
from whyclip.forward.fidelity import tolerance_of
from whyclip.forward.forward_pass import ForwardPass
from whyclip.match import Match
from whyclip.models import ModelView
from whyclip.types import Side, Word
from whyclip.variant import Variant


@dataclass(frozen=True)
class SideResult:
    """Result of one method for one side of a batch.

    ``scores`` and ``diagnostics`` are ``[b, n]``. The image side has maps ``[b, n, gh, gw]``, the
    text side has words for each image and prompt. ``embedding`` is the output of the explained
    computation: ``[b, e]``, on the text side ``[p, e]`` for the template strings of all prompts.
    """

    scores: Tensor
    changes: tuple[str, ...]
    diagnostics: Mapping[str, Tensor]
    embedding: Tensor
    maps: Tensor | None = None
    words: Sequence[tuple[tuple[Word, ...], ...]] | None = None


@dataclass(frozen=True)
class Setting:
    """Data shared by all explanations of a batch.

    Attributes:
        library_pass: the model's forward pass on the images, prepared by the library's pipeline.
        notes: for each image, warnings about it.
        checked: for each image the certificate's ``checked``.
        audits: looks up the last audit of this model.
        matches: for each image the matches of all prompts; empty without a reference.
    """

    model: ModelView
    encoded: EncodedPrompts
    batch: Batch
    library_pass: ForwardPass
    notes: Sequence[tuple[str, ...]]
    checked: Sequence[Mapping[Side, tuple[int, int]]]
    audits: Audits
    matches: Sequence[tuple[Match, ...]]


def checked_of(
    library_pass: ForwardPass, encoded: EncodedPrompts, sources: Sized
) -> list[dict[Side, tuple[int, int]]]:
    """Count, for each image of a batch, the inputs run through the model's public entry point."""
    prompts = (encoded.checked, encoded.strings_total)
    total = len(sources)
    first = min(IMAGES_AT_ONCE, total)
    sampled = first + -(-(total - first) // IMAGES_AT_ONCE)
    counts: list[dict[Side, tuple[int, int]]] = []
    for index in range(len(library_pass.embedding)):
        image = (
            (1, 1)
            if index < library_pass.checked
            else (sampled if library_pass.checked else 0, total)
        )
        counts.append({"image": image})
        if prompts[1]:
            counts[-1]["text"] = prompts
    return counts


def explanations(
    setting: Setting, variant: Variant, results: Mapping[Side, SideResult]
) -> Iterator[Explanation]:
    """Build one explanation for each image of a batch."""
    model, encoded, batch = setting.model, setting.encoded, setting.batch
    of_method = [change for result in results.values() for change in result.changes]
    labels = tuple(prompt.label for prompt in encoded.prompts)
    tolerance = tolerance_of(model.towers, setting.library_pass.precision)
    model_scores = encoded.own_targets().score(setting.library_pass.public).cpu()
    contrast = encoded.contrast(setting.library_pass.public)
    for i, image in enumerate(batch.images):
        certificate = Certificate(
            score_model=tuple(model_scores[i].tolist()),
            scores={side: tuple(result.scores[i].tolist()) for side, result in results.items()},
            modified_computation=tuple(dict.fromkeys((*model.changes, *of_method))),
            modified_input=(*batch.changes[i], *encoded.changes),
            scope=dict.fromkeys(results, variant.method.verified_scope),
            checked=setting.checked[i],
            diagnostics={
                f"{name}, {side} side": tuple(values[i].tolist())
                for side, result in results.items()
                for name, values in result.diagnostics.items()
            },
            precision=setting.library_pass.precision,
            tolerance=tolerance,
            input="pixels" if setting.batch.preprocessed else "image",
        )
        first = next(iter(results.values()), None)
        image_side, text_side = results.get("image"), results.get("text")
        yield Explanation(
            model=model.name,
            method=variant.method.name,
            prompts=labels,
            scores=first.scores[i].clone() if first else model_scores[i].clone(),
            maps=None if image_side is None or image_side.maps is None else image_side.maps[i],
            words=text_side.words[i] if text_side and text_side.words else ((),) * len(labels),
            certificate=certificate,
            geometry=batch.geometries[i],
            image=image,
            options=dict(variant.settings),
            against=tuple(prompt.label for prompt in encoded.others),
            contrast=contrast[i] if contrast else (),
            notes=setting.notes[i],
            audits=setting.audits,
            matches=setting.matches[i],
        )


def joined(image: Explanation, text: Explanation) -> Explanation:
    """Join the image side of one method with the words of another, on the same image.

    Prompts that are images or embeddings have no words; the result is then the image side.
    """
    if "text" not in text.certificate.scores:
        return image
    a, b = image.certificate, text.certificate
    certificate = replace(
        a,
        scores={**a.scores, **b.scores},
        modified_computation=tuple(
            dict.fromkeys((*a.modified_computation, *b.modified_computation))
        ),
        scope={**a.scope, **b.scope},
        diagnostics={**a.diagnostics, **b.diagnostics},
    )
    return replace(
        image,
        method=f"{image.method} + {text.method}",
        methods={"image": image.method, "text": text.method},
        words=text.words,
        options={},
        certificate=certificate,
    )
