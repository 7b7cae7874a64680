"""Public functions: explain images with one method, or compare several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args, overload

from whyclip.ambient import in_plain_state
from whyclip.assemble import joined
from whyclip.comparing import Comparison
from whyclip.errors import ImageError, OptionError, check_choice, quoted, unknown, warn
from whyclip.explanation import Explanation
from whyclip.inputs import ImageSource
from whyclip.matching.evidence import ReferenceLike, opened, reference_scores
from whyclip.matching.store import Reference
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state, naming_suspects
from whyclip.pipeline import run
from whyclip.preprocessed import check_pixels
from whyclip.selection import (
    ALL,
    MethodsLike,
    default_variants,
    on_sides,
    select_variants,
    variants_of,
)
from whyclip.types import SIDES, Check, GeometryName, Precision, Side
from whyclip.variant import MethodLike, Variant, encode_for


@overload
def explain(
    model: ModelView,
    image_or_images: ImageSource,
    prompts: Any,
    *,
    method: MethodLike | None = ...,
    sides: Sequence[Side] = ...,
    against: Any = ...,
    geometry: GeometryName = ...,
    precision: Precision = ...,
    check: Check = ...,
    reference: ReferenceLike | None = ...,
    **method_options: Any,
) -> Explanation: ...
@overload
def explain(
    model: ModelView,
    image_or_images: Sequence[ImageSource],
    prompts: Any,
    *,
    method: MethodLike | None = ...,
    sides: Sequence[Side] = ...,
    against: Any = ...,
    geometry: GeometryName = ...,
    precision: Precision = ...,
    check: Check = ...,
    reference: ReferenceLike | None = ...,
    **method_options: Any,
) -> list[Explanation]: ...
@overload
def explain(
    model: ModelView,
    image_or_images: None = ...,
    prompts: Any = ...,
    *,
    pixels: Any,
    method: MethodLike | None = ...,
    sides: Sequence[Side] = ...,
    against: Any = ...,
    geometry: GeometryName = ...,
    precision: Precision = ...,
    check: Check = ...,
    reference: ReferenceLike | None = ...,
    **method_options: Any,
) -> list[Explanation]: ...
@in_plain_state
def explain(  # noqa: PLR0913  all but three are options
    model: ModelView,
    image_or_images: Any = None,
    prompts: Any = None,
    *,
    pixels: Any = None,
    method: MethodLike | None = None,
    sides: Sequence[Side] = SIDES,
    against: Any = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
    reference: ReferenceLike | None = None,
    **method_options: Any,
) -> Explanation | list[Explanation]:
    """Explain why images match prompts.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`.
        image_or_images: a path, PIL image, array or tensor, or a list of them.
        prompts: a string, or a list of prompts; a prompt may be a list of template strings (an
            ensemble), or an image whose similarity is explained. A float tensor ``[n, e]`` is n
            directions in embedding space.
        pixels: instead of images, a preprocessed batch ``[b, 3, H, W]`` of the model's input size,
            for example from a DataLoader. Maps then refer to this input, and the certificate states
            that the preprocessing was not checked.
        method: a name from ``whyclip.methods.METHODS``, with or without options, such as
            ``"grad_eclip:heads=single"``; or a ``Method`` or ``Variant``. By default
            maps come from Grad-ECLIP and words from the decomposition, or from the first
            of :data:`DEFAULTS` that supports the model; ``Explanation.methods`` names them.
        sides: ``"image"`` for maps, ``"text"`` for words.
        against: contrast prompts ("why a dog rather than a cat?"); the score is then the
            difference of the cosines.
        geometry: ``"model"`` uses the model's own preprocessing; ``"keep"`` keeps the
            image's aspect ratio and interpolates position embeddings; ``"pad"`` pads the whole
            image to a square.
        precision: ``"bf16"`` runs the forward pass under autocast.
        check: how many inputs are also run through the model's public entry point.
            ``"auto"``: all inputs if that costs nothing or if something in the model was hooked or
            replaced, otherwise all of the first batch and one of each later batch;
            ``"all"``; or ``"none"``.
            ``Certificate.checked`` counts them.
        reference: from :func:`whyclip.reference`, or its file. ``Explanation.matches`` then states
            for each prompt how unusual its score is.
        **method_options: options of the method; see ``whyclip methods``.

    Returns:
        One Explanation for one image; a list for a list of images or for ``pixels``.

    Raises:
        InputError: an image, prompt, name or option cannot be used.
        ScoreMismatchError: the explained score differs from the model's score.
        UnsupportedModelError: the model is in training mode, or gives NaN or infinity.
    """
    many = isinstance(image_or_images, (list, tuple)) or pixels is not None
    images = image_or_images if many else [image_or_images]
    if pixels is not None:
        check_asked(model, geometry, precision)
        if image_or_images is not None:
            raise OptionError(f"images={quoted(image_or_images)} and pixels; give one of them")
        images = check_pixels(model, pixels, geometry)
    setting = Request(images, prompts, against, geometry, precision, check, opened(reference))
    checked = check_request(model, setting, sides)
    variants = chosen_variants(model, checked, method, method_options)
    results = by_side(_run(model, setting, variants))
    return results if many else results[0]


def chosen_variants(
    model: ModelView, sides: Sequence[Side], method: MethodLike | None, options: Mapping[str, Any]
) -> list[Variant]:
    """Make the variant of one method, or of the default method of each side.

    Raises:
        OptionError: an unknown method or option.
    """
    if method is None:
        return default_variants(model, sides, options)
    chosen = Variant.of(method)
    if options:
        chosen = replace(chosen, options={**chosen.options, **options}, label="")
    return [on_sides(chosen, sides)]


def by_side(by_method: Mapping[str, list[Explanation]]) -> list[Explanation]:
    """Join maps and words of two methods; results of a single method are returned unchanged."""
    results = list(by_method.values())
    return results[0] if len(results) == 1 else list(map(joined, *results))


@in_plain_state
def compare(
    model: ModelView,
    images: Sequence[ImageSource],
    prompts: Any,
    methods: MethodsLike | None = None,
    *,
    sides: Sequence[Side] = SIDES,
    against: Any = None,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
    reference: ReferenceLike | None = None,
) -> Comparison:
    """Explain the same images and prompts with several methods, on one forward pass.

    Args:
        model: as for :func:`explain`.
        images: a list of images.
        prompts: a string, or a list of prompts.
        methods: names, such as ``"grad_eclip"`` or ``"grad_eclip:heads=single"``, ``Method`` or
            ``Variant`` objects, or a mapping with a label for each. By default every method that
            supports the model, except those that run it dozens to thousands of times; ``"all"``
            adds these.
        sides: ``"image"`` for maps, ``"text"`` for words; a method skips a side that it does
            not support.
        against: contrast prompts.
        geometry: how the image is fed to the model.
        precision: of the forward pass.
        check: how many inputs are also run through the model's public entry point.
        reference: as for :func:`explain`.

    Returns:
        For each method's label, one Explanation per image. A notebook shows them as a page.

    Raises:
        InputError: an image, prompt, name or option cannot be used.
    """
    setting = Request(images, prompts, against, geometry, precision, check, opened(reference))
    checked = check_request(model, setting, sides)
    every = isinstance(methods, str) and methods == ALL
    if methods is None or every:
        variants = list(select_variants(model, sides=checked, slow=every).variants)
    else:
        chosen = variants_of(methods)
        if not chosen:
            raise OptionError(f"methods={quoted(methods)}: name at least one, or {ALL!r}")
        variants = [on_sides(variant, checked) for variant in chosen]
    return Comparison(_run(model, setting, variants))


@dataclass(frozen=True)
class Request:
    """The arguments of :func:`explain`."""

    images: Sequence[ImageSource]
    prompts: Any
    against: Any
    geometry: GeometryName
    precision: Precision
    check: Check
    reference: Reference | None = None


def _run(
    model: ModelView, request: Request, variants: Sequence[Variant]
) -> dict[str, list[Explanation]]:
    geometry, precision, check = request.geometry, request.precision, request.check
    with naming_suspects(model):
        encoded = encode_for(
            model,
            request.prompts,
            variants,
            against=request.against,
            precision=precision,
            check=check,
        )
        scores = reference_scores(model, request.reference, encoded, geometry)
        results = run(model, request.images, encoded, variants, geometry, precision, check, scores)
    _warn_once(results)
    return results


def check_request(model: ModelView, request: Request, sides: Sequence[Side]) -> list[Side]:
    """Check arguments before any work; return the sides that the model has.

    Raises:
        InputError: an argument is invalid; the message names a valid one.
        UnsupportedModelError: the model is in training mode.
    """
    check_asked(model, request.geometry, request.precision)
    check_choice("check", request.check, get_args(Check))
    check_state(model)
    images = request.images
    if not isinstance(images, Sequence) or isinstance(images, (str, bytes)):
        raise ImageError(f"images is {quoted(images)}; give a list of images")
    if not images:
        raise ImageError(f"no image given ({quoted(images)})")
    requested: list[Side] = _listed("side", sides, SIDES)
    for side in requested:
        check_choice("side", side, SIDES)
    if not requested:
        raise OptionError(f"sides={quoted(sides)}: name 'image', 'text' or both")
    return ["image"] if model.classes is not None and "image" in requested else requested


def _warn_once(results: Mapping[str, Sequence[Explanation]]) -> None:
    notes = [note for explanation in next(iter(results.values())) for note in explanation.notes]
    if notes:
        others = len(notes) - 1
        more = f" (and {others} more image{'s' * (others > 1)})" if others else ""
        warn(notes[0] + more)


def _listed(kind: str, value: Any, known: Iterable[str]) -> list[Any]:
    """Turn a name or a list of names into a list."""
    if not isinstance(value, (str, list, tuple, set, frozenset)):
        raise unknown(kind, value, known)
    return [value] if isinstance(value, str) else list(value)
