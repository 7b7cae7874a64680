"""An explanation in a terminal: prompts, scores, words, a sketch of where, the certificate."""

from __future__ import annotations

import math

import numpy as np
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from whyclip.explanation import Explanation
from whyclip.render import seal
from whyclip.render.colour import Floats, Scale, hexadecimal
from whyclip.render.parts import contrast_of, facts, map_scales, words_of
from whyclip.render.words import strongest_words

_SHADES = " ·░▒▓█"
_PLAIN_SHADES = " .:+#@"
_MOST_COLUMNS = 22
_FEW = 4
_FINE = 8


def summary(explanation: Explanation) -> Summary:
    """A renderable for rich: print it with ``rich.print`` or a Console."""
    return Summary(explanation)


class Summary:
    """Draws itself for the console it is printed on, with plain characters where need be."""

    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One row for each prompt, then the certificate."""
        explanation, plain = self.explanation, options.ascii_only
        scales = map_scales(explanation)
        table = Table(box=None, pad_edge=False, padding=(0, 3, 1, 0), header_style="dim")
        table.add_column("prompt", min_width=12)
        table.add_column("score", justify="right")
        worded = any(explanation.words)
        if worded:
            table.add_column("words that matter most")
        heat = None
        if scales:
            table.add_column("where", no_wrap=True)
            heat = explanation.heatmap(_fine_size(explanation)).double().numpy()
        for index in range(len(explanation)):
            row = [_prompt(explanation, index), Text(_score(explanation, index))]
            if worded:
                row.append(_words(explanation, index))
            if heat is not None:
                row.append(_sketch(_coarse(heat[index]), scales[index], plain))
            table.add_row(*row)
        yield table
        yield _certificate(explanation, plain)


def _score(explanation: Explanation, index: int) -> str:
    score, contrast = f"{float(explanation.scores[index]):.3f}", contrast_of(explanation, index)
    return f"{score}\n{contrast}" if contrast else score


def _prompt(explanation: Explanation, index: int) -> Text:
    text = Text()
    for piece in words_of(explanation, index):
        weak = piece.strength is None or abs(piece.strength) < 0.15
        style = "" if weak else ("red" if (piece.strength or 0) < 0 else "green")
        text.append(piece.text, f"bold {style}" if abs(piece.strength or 0) > 0.6 else style)
    return text


def _words(explanation: Explanation, index: int) -> Text:
    own = [word for word in explanation.words[index] if word.template == 0]
    text = Text()
    for word in strongest_words(own):
        style = "red" if word.relevance < 0 else "green"
        text.append(f"{word.text} ", style)
        text.append(f"{word.relevance:+.2g}\n", "dim")
    text.rstrip()
    return text if text or not own else Text("all zero", "dim")


def _lines(explanation: Explanation) -> int:
    return 6 if len(explanation) <= _FEW else 4


def _fine_size(explanation: Explanation) -> tuple[int, int]:
    """Height and width to sample the map at: 8 × 8 samples for each character."""
    aspect = explanation.geometry.width / explanation.geometry.height
    rows = _lines(explanation)
    columns = round(2 * rows * aspect)
    if columns > _MOST_COLUMNS:
        columns = _MOST_COLUMNS
        rows = max(1, math.floor(columns / (2 * aspect)))
    return _FINE * rows, _FINE * max(2, columns)


def _coarse(heat: Floats) -> Floats:
    """Mean over the samples of each character; NaN where most of them are unseen."""
    height, width = heat.shape
    cells = heat.reshape(height // _FINE, _FINE, width // _FINE, _FINE)
    unseen = np.isnan(cells).mean(axis=(1, 3)) > 0.5
    seen = np.maximum((~np.isnan(cells)).sum(axis=(1, 3)), 1)
    mean = np.nansum(cells, axis=(1, 3)) / seen
    return np.where(unseen, np.nan, mean)


def _sketch(cells: Floats, scale: Scale, plain: bool) -> Text:
    """Shades for relevance that speaks for the match, minus signs for what speaks against."""
    shades = _PLAIN_SHADES if plain else _SHADES
    unseen = "/" if plain else "╱"
    # Averaging lowers the peak; the sketch is drawn to its own.
    largest = float(np.nanmax(np.abs(cells), initial=0.0))
    strength = Scale(largest, scale.signed).strength(cells)
    text = Text()
    edge = "|" if plain else "│"
    for number, row in enumerate(strength):
        text.append(f"\n{edge}" if number else edge, "dim")
        for value in row:
            if math.isnan(value):
                text.append(unseen, "dim")
            elif value < 0:
                text.append("-" if value < -0.25 else " ", "blue")
            else:
                colour = hexadecimal(Scale(1.0, signed=False).rgb(np.array(0.35 + 0.55 * value)))
                text.append(shades[math.ceil(value * (len(shades) - 1) - 0.25)], colour)
        text.append(edge, "dim")
    return text


def _certificate(explanation: Explanation, plain: bool) -> Text:
    certificate = explanation.certificate
    tone = seal.tone(certificate)
    signs = {"score": "*", "other": "o", "modified": "!"}
    styles = {"score": "bold green", "other": "bold", "modified": "bold yellow"}
    mark = signs[tone] if plain else seal.mark(certificate)
    text = Text(f"{mark} {certificate.verdict}", styles[tone])
    for line in (*seal.statements(certificate), certificate.audit_statement):
        text.append(f"\n  {line}", "not bold dim")
    text.append(f"\n  {', '.join(facts(explanation))}, {certificate.precision}", "not bold dim")
    return text
