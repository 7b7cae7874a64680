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
from whyclip.pipeline import run
from whyclip.plan import Plan, ask_for
from whyclip.types import SIDES, GeometryName, Precision, Side

ALL = "all"
SLOW = f"dozens to thousands of runs of the model; {ALL!r} has them"


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
    methods: str | Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
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
        methods: names, or names with their options. By default every one that can read the
            model, on the sides it can, but for those that run it dozens to thousands of times;
            ``"all"`` has these, too.
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
    asked = [sides] if isinstance(sides, str) else list(sides)
    for side in asked:
        _among("side", side, SIDES)
    if not asked:
        raise OptionError(f"sides={sides!r}: name 'image', 'text' or both")
    if model.classes is not None and "image" in asked:
        asked = ["image"]
    if methods is None or methods == ALL:
        plans = comparable(model, asked, slow=methods == ALL)[0]
    else:
        if not isinstance(methods, Mapping):
            methods = {name: {} for name in ([methods] if isinstance(methods, str) else methods)}
        plans = [_plan(name, options, asked) for name, options in methods.items()]
    question = ask_for(model, prompts, plans, against=against, precision=precision)
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


def comparable(
    model: ModelView, sides: Sequence[str] = SIDES, *, slow: bool = False
) -> tuple[list[Plan], dict[str, list[str]]]:
    """Choose every method that can read a model, on the sides it can.

    Args:
        model: the model to be read.
        sides: those that are asked for.
        slow: choose the slow ones, too.

    Returns:
        The methods, and by reason the names of those left out; of one that is left out on one
        side alone, the side stands beside its name.
    """
    towers = {tower.side: tower for tower in model.towers if tower.side in sides}
    plans: list[Plan] = []
    left_out: dict[str, list[str]] = {}
    for method in METHODS.values():
        plan = Plan(method, method.complete({}), tuple(s for s in method.sides if s in towers))
        everywhere = SLOW if method.slow and not slow else ""
        if not method.available:
            everywhere = f"not installed; pip install 'whyclip[{method.needs}]'"
        reasons = {side: everywhere or plan.why_not(towers[side]) for side in plan.sides}
        able = tuple(side for side in plan.sides if not reasons[side])
        if able:
            plans.append(replace(plan, sides=able))
        for side, reason in reasons.items():
            name = f"{method.name} ({side} side)" if able else method.name
            if reason and name not in left_out.setdefault(reason, []):
                left_out[reason].append(name)
    return plans, {reason: names for reason, names in left_out.items() if names}


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
