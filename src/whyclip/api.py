"""The public questions: explain images by one method, or compare several."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args, overload

from whyclip.errors import ImageError, OptionError, WhyclipWarning, unknown
from whyclip.explanation import Explanation
from whyclip.inputs import GEOMETRIES, ImageSource
from whyclip.methods import METHODS, get_method
from whyclip.model import ModelView
from whyclip.pipeline import Plan, run
from whyclip.question import ask
from whyclip.types import SIDES, GeometryName, Precision, Side


@overload
def explain(
    model: ModelView,
    image_or_images: ImageSource,
    prompts: Any,
    *,
    method: str = ...,
    sides: Sequence[Side] = ...,
    against: Any = ...,
    geometry: GeometryName = ...,
    precision: Precision = ...,
    **method_options: Any,
) -> Explanation: ...
@overload
def explain(
    model: ModelView,
    image_or_images: Sequence[ImageSource],
    prompts: Any,
    *,
    method: str = ...,
    sides: Sequence[Side] = ...,
    against: Any = ...,
    geometry: GeometryName = ...,
    precision: Precision = ...,
    **method_options: Any,
) -> list[Explanation]: ...
def explain(
    model: ModelView,
    image_or_images: Any,
    prompts: Any,
    *,
    method: str = "grad_eclip",
    sides: Sequence[Side] = SIDES,
    against: Any = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    **method_options: Any,
) -> Explanation | list[Explanation]:
    """Explain why images match prompts.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        image_or_images: a path, PIL image, array or tensor, or a list of them.
        prompts: a string, or a list of prompts; a prompt may be a list of template strings (an
            ensemble) or an image (why are these two alike?). A float tensor ``[n, e]`` is n
            directions in embedding space.
        method: a name from ``whyclip.methods.METHODS``.
        sides: ``"image"`` for maps, ``"text"`` for words.
        against: prompts that the others are set against ("why a dog rather than a cat?"); the
            score is then the difference of the cosines.
        geometry: ``"model"`` sees what the model's own preprocessing shows it; ``"keep"``
            keeps the picture's aspect ratio and interpolates position embeddings; ``"pad"``
            fits the whole picture in.
        precision: ``"bf16"`` runs the forward pass under autocast.
        **method_options: the method's own; see ``whyclip methods``.

    Returns:
        One Explanation for one image, a list for a list.

    Raises:
        InputError: an image, prompt, name or option cannot be used.
    """
    many = isinstance(image_or_images, (list, tuple))
    results = compare(
        model,
        image_or_images if many else [image_or_images],
        prompts,
        {method: method_options},
        sides=sides,
        against=against,
        geometry=geometry,
        precision=precision,
    )[method]
    return results if many else results[0]


def compare(
    model: ModelView,
    images: Sequence[ImageSource],
    prompts: Any,
    methods: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    *,
    sides: Sequence[Side] = SIDES,
    against: Any = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
) -> dict[str, list[Explanation]]:
    """Explain the same images and prompts by several methods, from one forward pass.

    Args:
        model: as for :func:`explain`, like all arguments not named here.
        images: a list of images.
        prompts: likewise.
        methods: names, or names with their options; by default every one that can read the
            model, on the sides it can.
        sides: likewise; a side that a method does not read is left out for it.
        against: likewise.
        geometry: likewise.
        precision: likewise.

    Returns:
        For each method one Explanation an image.

    Raises:
        InputError: an image, prompt, name or option cannot be used.
    """
    check_asked(model, geometry, precision)
    if not images:
        raise ImageError(f"no image given ({images!r})")
    every = methods is None
    if not isinstance(methods, Mapping):
        methods = {name: {} for name in methods or METHODS}
    asked = [sides] if isinstance(sides, str) else list(sides)
    for side in asked:
        _among("side", side, SIDES)
    if model.classes is not None and "image" in asked:
        asked = ["image"]
    plans = [_plan(name, options, asked) for name, options in methods.items()]
    if every:
        plans = _able(model, plans)
    question = ask(
        model,
        prompts,
        against,
        keep=max(plan.reach(model.text) for plan in plans),
        whole_context=any(plan.options.get("norm_over") == "context" for plan in plans),
        empty=any(plan.method.empty and "image" in plan.sides for plan in plans),
        precision=precision,
    )
    found = run(model, images, question, plans, geometry, precision)
    _warn_once(found)
    return found


def _warn_once(found: Mapping[str, Sequence[Explanation]]) -> None:
    notes = [note for explanation in next(iter(found.values())) for note in explanation.notes]
    if notes:
        more = f"; so are {len(notes) - 1} more of these pictures" if len(notes) > 1 else ""
        warnings.warn(notes[0] + more, WhyclipWarning, stacklevel=4)


def _plan(name: str, options: Mapping[str, Any], sides: Sequence[str]) -> Plan:
    method = get_method(name)
    read = tuple(side for side in SIDES if side in sides and side in method.sides)
    if not read:
        raise OptionError(f"sides={sides!r}: method {name!r} reads {method.sides!r}")
    return Plan(method, method.complete(options), read)


def _able(model: ModelView, plans: Sequence[Plan]) -> list[Plan]:
    """Leave out the sides, and the methods, that cannot read this model."""
    towers = {"image": model.image, "text": model.text}
    seeing = [
        replace(plan, sides=tuple(side for side in plan.sides if plan.able(towers[side])))
        for plan in plans
    ]
    return [plan for plan in seeing if plan.sides]


def check_asked(model: ModelView, geometry: GeometryName, precision: Precision) -> None:
    """Refuse what is no model view, and geometries and precisions that cannot be had.

    Raises:
        OptionError: one of them; the message says what would work.
    """
    if not isinstance(model, ModelView):
        raise OptionError(
            f"model is {model!r:.60}; load one with whyclip.load('mini') or "
            "whyclip.wrap(model, preprocess, tokenizer)"
        )
    _among("geometry", geometry, GEOMETRIES)
    _among("precision", precision, get_args(Precision))
    if geometry == "keep" and model.image.fixed:
        raise OptionError(
            f"geometry 'keep' needs other grids than {model.name} runs on: {model.image.fixed}; "
            "use 'model' or 'pad'"
        )


def _among(kind: str, given: object, known: Sequence[str]) -> None:
    if given not in known:
        raise unknown(kind, given, known)
