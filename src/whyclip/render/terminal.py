"""An explanation in a terminal: prompts, scores, words, sketches of maps, the certificate."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from whyclip.audit_index import audit_statement
from whyclip.explanation import Explanation
from whyclip.render import seal
from whyclip.render.colour import AGAINST, FOR, Floats, Scale, hexadecimal, mixed
from whyclip.render.grey import BLANK
from whyclip.render.reading import (
    contrast_of,
    facts,
    map_scales,
    match_lines,
    shares_scale,
    words_of,
)
from whyclip.render.thumbnail import thumbnails
from whyclip.render.words import strongest_words

_SHADES = " ·░▒▓█"
_PLAIN_SHADES = " .:+#@"
_MOST_COLUMNS = 22
_FEW = 4
_FINE = 8
_BAR = 12
_COLOURS = ("256", "truecolor")


def summary(explanation: Explanation, *, shared_scale: bool | None = None) -> Summary:
    """Return a renderable for ``rich.print`` or a Console.

    Args:
        explanation: the explanation to print.
        shared_scale: as for :func:`whyclip.render.figure`.
    """
    return Summary(explanation, shared_scale)


class Summary:
    """Renderable that adapts to the console, with plain characters if necessary."""

    def __init__(self, explanation: Explanation, shared_scale: bool | None = None) -> None:
        self.explanation = explanation
        self.shared = shares_scale(explanation, shared_scale)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render one row per prompt, the colour bar and the certificate."""
        explanation, plain = self.explanation, options.ascii_only
        scales = map_scales(explanation, shared=self.shared)
        table = Table(box=None, pad_edge=False, padding=(0, 3, 1, 0), header_style="dim")
        table.add_column("prompt", min_width=12)
        table.add_column("score", justify="right")
        worded = any(explanation.words)
        if worded:
            table.add_column("words that matter most")
        where: list[Text] = []
        colours = console.color_system in _COLOURS and not plain
        if scales:
            table.add_column("where", no_wrap=True)
            where = self._in_colour(scales) if colours else self._in_shades(scales, plain)
        if where and colours and explanation.image is not None:
            blank = [""] * (1 + worded)
            table.add_row(Text("image", "dim"), *blank, where.pop(0))
        for index in range(len(explanation)):
            prompt = _prompt(explanation, index, self.shared)
            row = [prompt, Text(_score(explanation, index))]
            if worded:
                row.append(_words(explanation, index))
            table.add_row(*row, *where[index : index + 1])
        yield table
        if scales:
            yield _bar(scales[0], self.shared, colours, plain)
        if explanation.matches:
            yield _matches(explanation)
        yield _certificate(explanation, plain)

    def _in_colour(self, scales: list[Scale]) -> list[Text]:
        """Draw the image, if there is one, and its heat maps, with two pixels per character."""
        rows, columns = _size(self.explanation)
        return thumbnails(self.explanation, scales, rows, columns)

    def _in_shades(self, scales: list[Scale], plain: bool) -> list[Text]:
        rows, columns = _size(self.explanation)
        fine = self.explanation.heatmap((_FINE * rows, _FINE * columns)).double().numpy()
        cells = [_coarse(heat) for heat in fine]
        # Averaging lowers the peak, so sketches are scaled to their own peak.
        signed = scales[0].signed
        peaks = [float(np.nanmax(np.abs(cell), initial=0.0)) for cell in cells]
        if self.shared:
            peaks = [max(peaks)] * len(peaks)
        return [
            _sketch(cell, Scale(peak, signed), plain)
            for cell, peak in zip(cells, peaks, strict=True)
        ]


def _score(explanation: Explanation, index: int) -> str:
    score, contrast = f"{float(explanation.scores[index]):.3f}", contrast_of(explanation, index)
    return f"{score}\n{contrast}" if contrast else score


def _prompt(explanation: Explanation, index: int, shared: bool) -> Text:
    text = Text()
    for piece in words_of(explanation, index, shared):
        weak = piece.strength is None or abs(piece.strength) < 0.15
        style = "" if weak else piece.colour
        text.append(piece.text, f"bold {style}" if abs(piece.strength or 0) > 0.6 else style)
    return text


def _words(explanation: Explanation, index: int) -> Text:
    words = [word for word in explanation.words[index] if word.template == 0]
    text = Text()
    for word in strongest_words(words):
        style = AGAINST if word.relevance < 0 else FOR
        text.append(f"{word.text} ", style)
        text.append(f"{word.relevance:+.2g}\n", "dim")
    text.rstrip()
    return text if text or not words else Text("all zero", "dim")


def _lines(explanation: Explanation) -> int:
    return 6 if len(explanation) <= _FEW else 4


def _size(explanation: Explanation) -> tuple[int, int]:
    """Return lines and columns of a sketch; a character is twice as high as wide."""
    aspect = explanation.geometry.width / explanation.geometry.height
    rows = _lines(explanation)
    columns = round(2 * rows * aspect)
    if columns > _MOST_COLUMNS:
        columns = _MOST_COLUMNS
        rows = max(1, math.floor(columns / (2 * aspect)))
    return rows, max(2, columns)


def _coarse(heat: Floats) -> Floats:
    """Average over the samples of each character; NaN if most of them are cropped."""
    height, width = heat.shape
    cells = heat.reshape(height // _FINE, _FINE, width // _FINE, _FINE)
    unseen = np.isnan(cells).mean(axis=(1, 3)) > 0.5
    count = np.maximum((~np.isnan(cells)).sum(axis=(1, 3)), 1)
    mean = np.nansum(cells, axis=(1, 3)) / count
    return np.where(unseen, np.nan, mean)


def _sketch(cells: Floats, scale: Scale, plain: bool) -> Text:
    """Draw shades for positive relevance, minus signs for negative relevance."""
    unseen = "/" if plain else "╱"
    text = Text()
    edge = "|" if plain else "│"
    for number, row in enumerate(scale.strength(cells)):
        text.append(f"\n{edge}" if number else edge, "dim")
        for value in row:
            if math.isnan(value):
                text.append(unseen, "dim")
            else:
                text.append(*_shade(value, plain))
        text.append(edge, "dim")
    return text


def _shade(value: float, plain: bool) -> tuple[str, str]:
    """Return character and colour of a strength."""
    if value < 0:
        return ("-" if value < -0.25 else " "), AGAINST
    shades = _PLAIN_SHADES if plain else _SHADES
    colour = hexadecimal(mixed(np.array(BLANK), np.array(0.5 + 0.5 * value)))
    return shades[math.ceil(value * (len(shades) - 1) - 0.25)], colour


def _bar(scale: Scale, shared: bool, colours: bool, plain: bool) -> Text:
    """Draw the colour bar in one line, with numbers if all maps share the scale."""
    low, high = ("against", "for") if scale.signed else ("0", "peak")
    if shared:
        low, high = scale.ends
    text = Text(f"\nheat: {low} ")
    for step in scale.steps(_BAR):
        if colours:
            text.append(" ", f"on {hexadecimal(mixed(np.array(BLANK), np.array(step)))}")
        else:
            text.append(*_shade(float(step), plain))
    text.append(f" {high}, {'all maps on one scale' if shared else 'each map to its own peak'}")
    return text


def _matches(explanation: Explanation) -> Text:
    """Describe for each prompt how unusual its score is, and its competing prompts."""
    text = Text()
    for label, match in zip(explanation.labels, explanation.matches, strict=True):
        style = "bold green" if match.evidence == "strong" else "bold"
        text.append(f"\n{label}: ", style).append(match.sentence, "not bold")
        for line in match_lines(match):
            text.append(f"\n  {line}", "not bold dim")
    text.append("\n")
    return text


def _certificate(explanation: Explanation, plain: bool) -> Text:
    certificate = explanation.certificate
    tone = seal.tone(certificate)
    signs = {"score": "*", "other": "o", "modified": "!"}
    styles = {"score": "bold green", "other": "bold", "modified": "bold yellow"}
    mark = signs[tone] if plain else seal.mark(certificate)
    text = Text(f"{mark} {certificate.verdict}", styles[tone])
    for line in (*seal.statements(certificate), audit_statement(explanation.audit)):
        text.append(f"\n  {line}", "not bold dim")
    text.append(f"\n  {', '.join(facts(explanation))}, {certificate.precision}", "not bold dim")
    return text
