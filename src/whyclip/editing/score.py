"""Score every edit of a prompt with one image, in one pass of the text encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from whyclip.ambient import in_plain_state
from whyclip.api import explain
from whyclip.editing.result import Edit, Edits
from whyclip.editing.variants import KINDS, Draft, EditKind, drafts
from whyclip.errors import OptionError, PromptError, check_choice, quoted
from whyclip.inputs import ImageSource
from whyclip.matching.encode import check_text_model, encode_images, prompt_directions
from whyclip.models import ModelView
from whyclip.models.state import check_asked, check_state, naming_suspects
from whyclip.types import Check, GeometryName, Precision


@in_plain_state
def edits(  # noqa: PLR0913  all but three are options
    model: ModelView,
    image: ImageSource,
    prompt: str,
    *,
    kinds: EditKind | Sequence[EditKind] = KINDS,
    nouns: Sequence[str] | None = None,
    colours: Sequence[str] | None = None,
    adjectives: Sequence[str] | None = None,
    others: Sequence[str] = (),
    maps: int = 0,
    geometry: GeometryName = "model",
    precision: Precision = "fp32",
    check: Check = "auto",
) -> Edits:
    """Compute how the score of an image changes with the words of its prompt.

    Each word is left out; each noun, colour and adjective is swapped for others; adjacent words of
    a noun phrase are exchanged, and so are two nouns, two colours and two adjectives. English
    nouns and adjectives are recognised by word lists. The image is encoded once, and all prompts
    in one pass of the text encoder. A change describes the model's response to the words, not the
    content of the image.

    Args:
        model: from :func:`whyclip.load` or :func:`whyclip.wrap`; not a plain classifier.
        image: a path, PIL image, array or tensor.
        prompt: one string.
        kinds: one or more of ``"leave out"``, ``"swap"`` and ``"exchange"``.
        nouns: replacements of each noun; default: shipped nouns of the same group.
        colours: replacements of each colour; default: common colours.
        adjectives: replacements of each adjective; default: shipped adjectives of the same group.
        others: further prompts to add to the table.
        maps: number of edits with the largest changes to explain, in addition to the original.
        geometry: as for :func:`whyclip.explain`.
        precision: as for :func:`whyclip.explain`.
        check: as for :func:`whyclip.explain`.

    Raises:
        InputError: the image, prompt or an option cannot be used.
        UnsupportedModelError: the model has no text encoder.
    """
    check_asked(model, geometry, precision)
    check_choice("check", check, get_args(Check))
    check_state(model)
    check_text_model(model, "edits")
    if not isinstance(prompt, str) or not prompt.strip():
        raise PromptError(f"prompt {quoted(prompt)}: give one string, for example 'a red car'")
    given = [kinds] if isinstance(kinds, str) or not isinstance(kinds, Sequence) else kinds
    if not given:
        raise OptionError(f"kinds={quoted(kinds)}: give one or more of {', '.join(KINDS)}")
    chosen = [check_choice("kind of edit", kind, KINDS) for kind in given]
    if isinstance(maps, bool) or not isinstance(maps, int) or maps < 0:
        raise OptionError(f"maps={quoted(maps)}: give the number of edits to explain, 0 or more")
    lists = {
        "noun": _listed("nouns", nouns),
        "colour": _listed("colours", colours),
        "adjective": _listed("adjectives", adjectives),
    }
    drafted = drafts(prompt, chosen, lists)
    known = {draft.prompt for draft in drafted} | {prompt}
    for text in _listed("others", others) or ():
        if text not in known:
            drafted.append(Draft("own", text, "", ""))
    with naming_suspects(model):
        [unit] = encode_images(model, [image], geometry, precision, check)
        texts = [prompt, *(draft.prompt for draft in drafted)]
        original, *scores = (prompt_directions(model, texts, precision, check) @ unit).tolist()
    rows = [
        Edit(*draft, score, score - original) for draft, score in zip(drafted, scores, strict=True)
    ]
    rows.sort(key=lambda row: -row.change)
    result = Edits(model.name, prompt, original, tuple(rows))
    if not maps:
        return result
    largest = sorted(rows, key=lambda row: -abs(row.change))[:maps]
    explained = explain(
        model,
        image,
        [prompt, *(row.prompt for row in largest)],
        geometry=geometry,
        precision=precision,
        check=check,
    )
    return replace(result, explanation=explained)


def _listed(name: str, given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise OptionError(f"{name}={quoted(given)}: give a list of strings")
    for text in given:
        if not isinstance(text, str) or not text.strip():
            raise OptionError(f"{name} has {quoted(text)}; give non-empty strings")
    return tuple(dict.fromkeys(given))
