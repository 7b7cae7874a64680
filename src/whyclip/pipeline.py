"""Images and a question in, explanations out: both towers, any number of methods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL.Image import Image
from torch import Tensor

from whyclip.capture import Capture, run_trunk
from whyclip.explanation import Certificate, Explanation
from whyclip.inputs import ImageSource, read_image, word_relevance
from whyclip.last_audit import last_audit
from whyclip.model import ModelView, model_inputs
from whyclip.plan import Plan
from whyclip.progress import track
from whyclip.question import Question
from whyclip.targets import Targets
from whyclip.types import Geometry, GeometryName, Precision, Side, Word

IMAGES_AT_ONCE = 16

# The largest score gap that rounding explains, by the precision of the forward pass.
TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-4, "bf16": 2e-2}


@dataclass(frozen=True)
class Batch:
    """Images whose model inputs have the same size.

    ``own`` is what the model's own preprocessing makes of them, where that differs for any;
    ``as_is`` says of which pictures it does not.
    """

    images: list[Image]
    geometries: list[Geometry]
    pixels: Tensor
    own: Tensor | None
    as_is: tuple[bool, ...]


@dataclass(frozen=True)
class SideResult:
    """One side of one method over a batch.

    ``scores`` and ``checks`` are ``[b, n]``; an image side has maps ``[b, n, gh, gw]``, a text
    side words for each image and prompt.
    """

    scores: Tensor
    changes: tuple[str, ...]
    checks: Mapping[str, Tensor]
    maps: Tensor | None = None
    words: Sequence[tuple[tuple[Word, ...], ...]] | None = None


def run(
    model: ModelView,
    sources: Sequence[ImageSource],
    question: Question,
    plans: Sequence[Plan],
    geometry: GeometryName,
    precision: Precision,
) -> dict[str, list[Explanation]]:
    """Explain every source by every plan; see :func:`whyclip.explain` for the rest."""
    results: dict[str, list[Explanation]] = {plan.method.name: [] for plan in plans}
    targets = question.targets()
    total = -(-len(sources) // IMAGES_AT_ONCE) if geometry != "keep" else len(sources)
    for batch in track(batches(model, sources, geometry), "explaining", total):
        reach = max(plan.reach(model.image) for plan in plans)
        capture = run_trunk(model.image, batch.pixels, targets, keep=reach, precision=precision)
        own = capture.embedding
        if batch.own is not None:
            own = run_trunk(model.image, batch.own, targets, keep=0, precision=precision).embedding
        seen = batch.pixels if batch.own is None else batch.own
        notes = model.domain.notes(seen) if model.domain else [()] * len(seen)
        of_input = [changes_of_input(model, capture, batch, i) for i in range(len(seen))]
        for plan in plans:
            found: dict[Side, SideResult] = {}
            if "image" in plan.sides:
                found["image"] = _image_side(plan, capture)
            if "text" in plan.sides and question.tokens is not None:
                found["text"] = _text_side(plan, question, own)
            results[plan.method.name] += _explanations(
                model,
                question,
                plan,
                batch,
                found,
                targets.score(own).cpu(),
                of_input,
                notes,
                precision,
            )
    return results


def batches(
    model: ModelView, sources: Sequence[ImageSource], geometry: GeometryName
) -> Iterator[Batch]:
    """Read pictures and prepare them for the model, ``IMAGES_AT_ONCE`` at a time."""
    at_once = 1 if geometry == "keep" else IMAGES_AT_ONCE
    for start in range(0, len(sources), at_once):
        images = [read_image(source) for source in sources[start : start + at_once]]
        inputs = model_inputs(model, images, geometry)
        pixels = torch.stack([pixels for pixels, _ in inputs])
        where = [place for _, place in inputs]
        if geometry == "model":
            yield Batch(images, where, pixels, None, (True,) * len(images))
            continue
        own = torch.stack([pixels for pixels, _ in model_inputs(model, images)])
        as_is = tuple(
            a.shape == b.shape and torch.allclose(a, b, atol=1e-6)
            for a, b in zip(own, pixels, strict=True)
        )
        yield Batch(images, where, pixels, None if all(as_is) else own, as_is)


def tolerance_of(model: ModelView, precision: Precision) -> float:
    """The largest score gap that rounding explains, weights in half precision considered."""
    kinds = {block.dtype for tower in model.towers for block in tower.blocks}
    half = not kinds.isdisjoint((torch.float16, torch.bfloat16))
    return TOLERANCE["bf16" if half else precision]


def changes_of_input(
    model: ModelView, capture: Capture, batch: Batch, index: int = 0
) -> tuple[str, ...]:
    """In what a picture differs from what the model's own preprocessing makes of it."""
    if batch.as_is[index]:
        return ()
    changes = [f"picture prepared by geometry {batch.geometries[0].name!r}, not the model's own"]
    grid, native = capture.stream.grid, model.image.native
    if grid is not None and grid != native:
        changes.append(
            f"position embeddings interpolated from {native[0]}×{native[1]} to {grid[0]}×{grid[1]}"
        )
    return tuple(changes)


def _image_side(plan: Plan, capture: Capture) -> SideResult:
    found = plan.relevance(capture)
    grid = capture.stream.grid or (1, found.values.shape[-1])
    scores = capture.targets.score(found.embedding).cpu()
    maps = found.values.float().cpu().unflatten(-1, grid)
    return SideResult(scores, found.changes, found.checks, maps=maps)


def _text_side(plan: Plan, question: Question, own: Tensor) -> SideResult:
    """Explain every string for every image of the batch, some strings at a time."""
    images = Targets(F.normalize(own, dim=-1), question.scale)
    values: list[Tensor] = []
    embeddings: list[Tensor] = []
    changes: tuple[str, ...] = ()
    checks: list[Mapping[str, Tensor]] = []
    for capture in question.captures:
        found = plan.relevance(capture.aim(images))
        checks.append(found.checks)
        values += list(found.values.float().cpu())
        embeddings.append(found.embedding)
        changes = found.changes
        if len(question.captures) > 1:
            capture.forget()
    scores = question.targets(torch.cat(embeddings)).score(own).cpu()
    words = [_words(question, [v[image] for v in values]) for image in range(len(own))]
    return SideResult(scores, changes, _by_prompt(question, checks), words=words)


def _by_prompt(question: Question, checks: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """From checks ``[strings, b]`` to ``[b, n]``: of an ensemble, the largest, with its sign."""
    found = {}
    for name in checks[0]:
        by_string = torch.cat([part[name] for part in checks])
        columns = [
            _largest(by_string[list(strings)]) if strings else torch.zeros(by_string.shape[1])
            for strings in question.strings
        ]
        found[name] = torch.stack(columns, 1)
    return found


def _largest(values: Tensor) -> Tensor:
    """Of each column of ``[strings, b]`` the value that is farthest from zero."""
    return values.gather(0, values.abs().argmax(0, keepdim=True))[0]


def _words(question: Question, values: Sequence[Tensor]) -> tuple[tuple[Word, ...], ...]:
    """Join the pieces' values ``[t]`` of every string to the words of every prompt."""
    tokens = question.tokens
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
        for strings in question.strings
    )


def _explanations(
    model: ModelView,
    question: Question,
    plan: Plan,
    batch: Batch,
    found: Mapping[Side, SideResult],
    own: Tensor,
    of_input: Sequence[tuple[str, ...]],
    notes: Sequence[tuple[str, ...]],
    precision: Precision,
) -> Iterator[Explanation]:
    of_method = [change for result in found.values() for change in result.changes]
    labels = tuple(prompt.label for prompt in question.prompts)
    audit = last_audit(model, plan.method.name, plan.options)
    tolerance = tolerance_of(model, precision)
    for i, image in enumerate(batch.images):
        of_picture = of_input[i] if "image" in found else ()
        certificate = Certificate(
            score_model=tuple(own[i].tolist()),
            scores={side: tuple(result.scores[i].tolist()) for side, result in found.items()},
            changes=tuple(dict.fromkeys([*of_picture, *of_method])),
            checks={
                f"{name}, {side} side": tuple(values[i].tolist())
                for side, result in found.items()
                for name, values in result.checks.items()
            },
            precision=precision,
            tolerance=tolerance,
            audit=audit,
        )
        first = next(iter(found.values()), None)
        image_side, text_side = found.get("image"), found.get("text")
        yield Explanation(
            model=model.name,
            method=plan.method.name,
            prompts=labels,
            scores=first.scores[i].clone() if first else own[i].clone(),
            maps=None if image_side is None or image_side.maps is None else image_side.maps[i],
            words=text_side.words[i] if text_side and text_side.words else ((),) * len(labels),
            certificate=certificate,
            geometry=batch.geometries[i],
            image=image,
            options=plan.options,
            against=tuple(prompt.label for prompt in question.others),
            notes=notes[i],
        )
