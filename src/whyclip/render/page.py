"""The HTML page: a small viewer for files, notebooks and other pages.

A page is a self-contained file: style, script, image and the JSON of the explanations are inside.
The user's text (prompts, names) enters the document only as JSON that the script inserts as text,
or escaped.

The parts shared with the web page are JavaScript modules. This page concatenates them to a single
script without imports and exports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from importlib.resources import files
from io import BytesIO
from string import Template
from typing import Any

from PIL import Image

from whyclip.errors import InputError
from whyclip.explanation import Explanation
from whyclip.files import data_uri
from whyclip.render import colour, contour, seal
from whyclip.render.grey import BLANK, LUMA, levels
from whyclip.render.reading import facts, largest_word, shares_scale
from whyclip.render.words import STRONGEST, words_html
from whyclip.storage import to_json

_SCRIPTS = (
    "elements.js",
    "heat.js",
    "paint.js",
    "state.js",
    "text.js",
    "picture.js",
    "match.js",
    "viewer.js",
)
_MODULE_SYNTAX = re.compile(r"^(import .*\n|export )", re.MULTILINE)
_LONGEST_SIDE = 1400
_FRAME_HEIGHT = 820
_SAMPLE = 256
_ENCODERS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 90, "subsampling": 0},
    "png": {"optimize": True},
}


def page(
    explanations: Sequence[Explanation], *, shared_scale: bool | None = None, before: str = ""
) -> str:
    """Write explanations to one self-contained HTML page.

    Several explanations (of several methods, models or images) get one tab each.

    Args:
        explanations: the explanations, in the order of their tabs.
        shared_scale: as for :func:`whyclip.render.figure`; the reader can change it.
        before: HTML of a section above the viewer.

    Raises:
        InputError: there is no explanation.
    """
    explanations = list(explanations)
    if not explanations:
        raise InputError("page([]): give at least one explanation")
    html = Template(asset("page.html")).substitute(
        title=escape(f"{', '.join(explanations[0].labels)} — whyclip"),
        style=asset("viewer.css"),
        before=before,
        script=_MODULE_SYNTAX.sub("", "".join(asset(name) for name in _SCRIPTS)),
        data=harmless_json(_data(explanations, shared_scale)),
        static="\n".join(
            _without_script(explanation, shared_scale) for explanation in explanations
        ),
    )
    # A prompt may contain an unpaired surrogate, which cannot be encoded in a file.
    return html.encode("utf-8", "replace").decode("utf-8")


def fragment(explanation: Explanation) -> str:
    """Write HTML for a notebook or another page.

    The page is in its own frame, so its names, styles and script do not affect the document
    around it.
    """
    return framed(page([explanation]), "whyclip explanation")


def framed(html: str, title: str) -> str:
    """Wrap a whole page in its own frame, for a notebook."""
    return (
        f'<iframe srcdoc="{escape(html)}" title="{escape(title)}" '
        f'loading="lazy" style="width:100%;height:{_FRAME_HEIGHT}px;border:0"></iframe>'
    )


def _data(explanations: Sequence[Explanation], shared_scale: bool | None) -> dict[str, Any]:
    images: list[str] = []
    greys: list[dict[str, float]] = []
    known: dict[int, int] = {}
    entries = []
    for name, explanation in zip(_names(explanations), explanations, strict=True):
        image = explanation.image
        if image is not None and id(image) not in known:
            uri = image_uri(image)
            if uri not in images:
                images.append(uri)
                greys.append(levels(image)._asdict())
            known[id(image)] = images.index(uri)
        number = None if image is None else known[id(image)]
        entries.append(
            {
                "name": name,
                "picture": number,
                "shared": shares_scale(explanation, shared_scale),
                "explanation": to_json(explanation),
            }
        )
    return {"entries": entries, "pictures": images, "levels": greys, "colours": colours()}


def _names(explanations: Sequence[Explanation]) -> list[str]:
    """Choose the shortest distinguishing names: by method, model, options, or number."""
    parts = {
        "method": [explanation.method for explanation in explanations],
        "model": [explanation.model for explanation in explanations],
        "options": [_options(explanation) for explanation in explanations],
    }
    names = parts["method"]
    for more in ([], ["model"], ["options"], ["model", "options"]):
        chosen = [parts[key] for key in ("method", *more) if len(set(parts[key])) > 1]
        names = [", ".join(filter(None, row)) for row in zip(*chosen, strict=True)]
        if len(set(names)) == len(explanations):
            return names
    names = names or parts["method"]
    return [f"{number}. {name}" for number, name in enumerate(names, 1)]


def _options(explanation: Explanation) -> str:
    return ", ".join(f"{name}={value}" for name, value in explanation.options.items())


def image_uri(image: Image.Image) -> str:
    """Return the content of :func:`display_file` as a URI."""
    return data_uri(*display_file(image))


def display_file(image: Image.Image) -> tuple[str, bytes]:
    """Encode an image for display, at most 1400 pixels per side.

    Returns:
        ``"jpeg"``, or ``"png"`` if it is likely to be smaller; and the file's content.
    """
    shown = image.convert("RGB")
    shown.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    part = shown
    if max(shown.size) > 2 * _SAMPLE:
        # Encoding a full photo as PNG would take most of the time for writing a page.
        left, top = (max(0, (length - _SAMPLE) // 2) for length in shown.size)
        part = shown.crop(
            (left, top, min(left + _SAMPLE, shown.width), min(top + _SAMPLE, shown.height))
        )
    encoded = {kind: _encoded(part, kind) for kind in _ENCODERS}
    kind = min(encoded, key=lambda kind: len(encoded[kind]))
    return kind, encoded[kind] if part is shown else _encoded(shown, kind)


def _encoded(image: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    image.save(file, kind, **_ENCODERS[kind])
    return file.getvalue()


def colours() -> dict[str, Any]:
    """Return the inks, so that the page uses the same colours as other renderings."""
    return {
        "strengths": colour.STRENGTHS,
        "for": {"dark": colour.DARK_FOR, "light": colour.LIGHT_FOR},
        "against": {"dark": colour.DARK_AGAINST, "light": colour.LIGHT_AGAINST},
        "words": {"for": colour.FOR, "against": colour.AGAINST, "strongest": STRONGEST},
        "luma": LUMA,
        "blank": BLANK,
        "contour": {
            "half": contour.HALF,
            "dash": contour.DASH,
            "strokes": [list(stroke) for stroke in contour.STROKES],
        },
    }


def harmless_json(data: dict[str, Any]) -> str:
    """Encode as JSON that is safe inside a script element."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _without_script(explanation: Explanation, shared_scale: bool | None) -> str:
    """Write content that needs no JavaScript: prompts, highlighted words, scores, certificate."""
    largest = largest_word(explanation) if shares_scale(explanation, shared_scale) else None
    rows = "".join(
        f"<li>{words_html(prompt, words, largest=largest)}: {score:.3f}{escape(match)}</li>"
        for prompt, words, score, match in zip(
            explanation.prompts,
            explanation.words,
            explanation.scores.tolist(),
            _match_sentences(explanation),
            strict=True,
        )
    )
    certificate = explanation.certificate
    of = f"{', '.join(facts(explanation))}: {certificate.verdict}"
    summary = "; ".join(filter(None, (of, seal.details(certificate), str(explanation.audit or ""))))
    return f"<ol>{rows}</ol><p>{escape(summary)}</p>"


def _match_sentences(explanation: Explanation) -> list[str]:
    if not explanation.matches:
        return [""] * len(explanation)
    return [f" ({match.sentence})" for match in explanation.matches]


@cache
def asset(name: str, folder: str = "viewer") -> str:
    """Return the text of a page's source file."""
    return (files("whyclip.render") / folder / name).read_text(encoding="utf-8")
