"""Draw images with their maps for the report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image

from whyclip.bulk.open_source import open_source
from whyclip.bulk.result import BulkResult
from whyclip.errors import InputError
from whyclip.inputs import read_image
from whyclip.render.overlay import overlay
from whyclip.report.scored_images import Card
from whyclip.resample import display_copy

SIDE = 160


def cards(result: BulkResult, rows: Iterable[int]) -> dict[int, Card]:
    """Draw each row: the image with its map on top.

    Args:
        result: result of the run; its source is opened again. If an image no longer exists, its
            map is drawn on grey.
        rows: numbers of the rows.
    """
    cells = {row: result.row(row) for row in sorted(set(rows))}
    images = _images(result, {cell["number"] for cell in cells.values()})
    return {row: _card(result, cell, images.get(cell["number"])) for row, cell in cells.items()}


def _images(result: BulkResult, numbers: set[int]) -> Mapping[int, Image.Image]:
    try:
        source = open_source(result.identity["source"], **result.run["source_options"])
    except InputError:
        return {}
    copies: dict[int, Image.Image] = {}
    for item in source.items():
        if len(copies) == len(numbers) or item.number > max(numbers, default=-1):
            break
        if item.number in numbers and not item.fault:
            try:
                image = read_image(source.load(item).image)
            except InputError:
                continue
            copies[item.number] = display_copy(image)
            copies[item.number].thumbnail((2 * SIDE, 2 * SIDE))
    return copies


def _card(result: BulkResult, row: dict[str, Any], image: Image.Image | None) -> Card:
    explanation = result.explanation(row)
    geometry = explanation.geometry
    factor = SIDE / max(geometry.width, geometry.height)
    size = (max(1, round(geometry.height * factor)), max(1, round(geometry.width * factor)))
    if explanation.maps is not None:
        drawn = overlay(image, explanation.heatmap(size)[0])
    else:
        drawn = (image or Image.new("RGB", (SIDE, SIDE), "grey")).resize(size[::-1])
    return Card(drawn, row["score"], row["id"])
