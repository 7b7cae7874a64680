"""The HTML page: one small viewer that reports, notebooks and the browser app share.

A page is one file that loads nothing from anywhere: style, script, image and the JSON of
the explanations are inside. What comes from the user (prompts, names) reaches the document
only as JSON text that the script inserts as text, or escaped.

The parts that the web page shares are JavaScript modules; within this page they stand one after
another in a single script, without their imports and exports.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
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


def page(explanations: Sequence[Explanation], *, shared_scale: bool | None = None) -> str:
    """Write explanations into one self-contained HTML page.

    Several explanations (of several methods, models or images) get a tab each.

    Args:
        explanations: the explanations, in the order of their tabs.
        shared_scale: as for :func:`whyclip.render.figure`; the reader can change it.

    Raises:
        InputError: there are none.
    """
    explanations = list(explanations)
    if not explanations:
        raise InputError("page([]): give at least one explanation")
    html = Template(_asset("page.html")).substitute(
        title=escape(f"{', '.join(explanations[0].labels)} — whyclip"),
        style=_asset("viewer.css"),
        script=_MODULE_SYNTAX.sub("", "".join(_asset(name) for name in _SCRIPTS)),
        data=_harmless_json(_data(explanations, shared_scale)),
        static="\n".join(_without_script(one, shared_scale) for one in explanations),
    )
    # A prompt may hold half of a surrogate pair, which no file can.
    return html.encode("utf-8", "replace").decode("utf-8")


def fragment(explanation: Explanation) -> str:
    """HTML to put into a notebook or another page.

    The page sits in a frame of its own: its names, styles and script clash with nothing
    around it, however often it is shown.
    """
    return framed(page([explanation]), "whyclip explanation")


def framed(html: str, title: str) -> str:
    """Put a whole page into a frame of its own, for a notebook."""
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
            uri = _data_uri(image)
            if uri not in images:
                images.append(uri)
                greys.append(levels(image)._asdict())
            known[id(image)] = images.index(uri)
        picture = None if image is None else known[id(image)]
        entries.append(
            {
                "name": name,
                "picture": picture,
                "shared": shares_scale(explanation, shared_scale),
                "explanation": to_json(explanation),
            }
        )
    return {"entries": entries, "pictures": images, "levels": greys, "colours": colours()}


def _names(explanations: Sequence[Explanation]) -> list[str]:
    """Tell explanations apart as briefly as possible: by method, model, options, or number."""
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


def _data_uri(image: Image.Image) -> str:
    kind, content = display_file(image)
    return f"data:image/{kind};base64,{b64encode(content).decode('ascii')}"


def display_file(image: Image.Image) -> tuple[str, bytes]:
    """Encode an image for display, at most 1400 pixels a side.

    Returns:
        ``"jpeg"``, or ``"png"`` where that promises to be smaller; and the file's content.
    """
    picture = image.convert("RGB")
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE), Image.Resampling.LANCZOS)
    part = picture
    if max(picture.size) > 2 * _SAMPLE:
        # Encoding all of a photo as PNG takes most of the time to write a page.
        left, top = (max(0, (length - _SAMPLE) // 2) for length in picture.size)
        part = picture.crop(
            (left, top, min(left + _SAMPLE, picture.width), min(top + _SAMPLE, picture.height))
        )
    found = {kind: _encoded(part, kind) for kind in _ENCODERS}
    kind = min(found, key=lambda kind: len(found[kind]))
    return kind, found[kind] if part is picture else _encoded(picture, kind)


def _encoded(picture: Image.Image, kind: str) -> bytes:
    file = BytesIO()
    picture.save(file, kind, **_ENCODERS[kind])
    return file.getvalue()


def colours() -> dict[str, Any]:
    """The inks, so that the page draws with the numbers of every other rendering."""
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


def _harmless_json(data: dict[str, Any]) -> str:
    """JSON that stays inside its script element, whatever strings it holds."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _without_script(explanation: Explanation, shared_scale: bool | None) -> str:
    """What a reader without JavaScript gets: prompts, highlighted words, scores, certificate."""
    largest = largest_word(explanation) if shares_scale(explanation, shared_scale) else None
    rows = "".join(
        f"<li>{words_html(prompt, words, largest=largest)}: {score:.3f}</li>"
        for prompt, words, score in zip(
            explanation.prompts, explanation.words, explanation.scores.tolist(), strict=True
        )
    )
    certificate = explanation.certificate
    of = f"{', '.join(facts(explanation))}: {certificate.verdict}"
    told = "; ".join(filter(None, (of, seal.details(certificate), str(explanation.audit or ""))))
    return f"<ol>{rows}</ol><p>{escape(told)}</p>"


@cache
def _asset(name: str) -> str:
    return (files("whyclip.render") / "viewer" / name).read_text(encoding="utf-8")
