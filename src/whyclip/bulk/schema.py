"""Convert explanations to rows of an Arrow table, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch

from whyclip.audit_index import Audits
from whyclip.bulk.request import Explained
from whyclip.certificate import Certificate
from whyclip.errors import OutputError, quoted
from whyclip.explanation import Explanation, Prompt
from whyclip.storage import word_of, word_to_json
from whyclip.types import SIDES, Box, Geometry

MapType = Literal["float32", "float16"]
_TYPES = {"float32": (pa.float32(), np.float32), "float16": (pa.float16(), np.float16)}
MAP, SCALE = "map", "map_scale"
PERCENTILES = ("percentile_among_prompts", "percentile_among_images")

_WORD = pa.struct(
    [
        ("word", pa.string()),
        ("relevance", pa.float64()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("template", pa.int32()),
    ]
)
_COUNTS = pa.list_(pa.int32(), 2)
_CERTIFICATE = pa.struct(
    [
        ("verdict", pa.string()),
        ("score_check", pa.string()),
        *((f"score_{side}", pa.float64()) for side in SIDES),
        *((f"scope_{side}", pa.string()) for side in SIDES),
        *((f"checked_{side}", _COUNTS) for side in SIDES),
        ("modified_computation", pa.list_(pa.string())),
        ("modified_input", pa.list_(pa.string())),
        ("diagnostics", pa.map_(pa.string(), pa.float64())),
        ("precision", pa.string()),
        ("tolerance", pa.float64()),
    ]
)


def schema(grid: tuple[int, int] | None, map_type: MapType) -> pa.Schema:
    """Build the Arrow schema of a part.

    Args:
        grid: rows and columns of all maps; None if they differ between images.
        map_type: ``"float32"``, as computed; or ``"float16"``, divided by the row's
            ``map_scale``, its largest absolute value.
    """
    kind = _TYPES[map_type][0]
    return pa.schema(
        [
            ("number", pa.int64()),
            ("id", pa.string()),
            ("prompt_number", pa.int32()),
            ("prompt", pa.string()),
            ("score", pa.float64()),
            ("score_model", pa.float64()),
            (MAP, pa.list_(kind, grid[0] * grid[1]) if grid else pa.list_(kind)),
            (SCALE, pa.float32()),
            ("grid", pa.list_(pa.int32(), 2)),
            ("box", pa.list_(pa.float64(), 4)),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("words", pa.list_(_WORD)),
            ("certificate", _CERTIFICATE),
            ("contrast", pa.list_(pa.float64(), 2)),
            ("notes", pa.list_(pa.string())),
            ("inside", pa.float32()),
            *((name, pa.float32()) for name in PERCENTILES),
            ("evidence", pa.string()),
            ("error", pa.string()),
        ]
    )


def to_table(explained: Iterable[Explained], columns: pa.Schema, map_type: MapType) -> pa.Table:
    """Build one row per image and prompt; an image with a fault becomes one row with its error."""
    rows: list[dict[str, Any]] = []
    maps: list[Any] = []
    for one in explained:
        start = {"number": one.ready.number, "id": one.ready.id}
        if one.explanation is None:
            rows.append({**start, "error": one.fault or one.ready.fault})
            maps.append(None)
            continue
        for index in range(len(one.explanation)):
            row, values = _row(one, index, map_type)
            rows.append({**start, **row})
            maps.append(values)
    arrays = []
    for part in columns:
        if part.name == MAP:
            arrays.append(pa.array(maps, part.type))
        else:
            arrays.append(pa.array([row.get(part.name) for row in rows], part.type))
    return pa.Table.from_arrays(arrays, schema=columns)


def _row(one: Explained, index: int, map_type: MapType) -> tuple[dict[str, Any], Any]:
    whole = one.explanation
    assert whole is not None
    certificate, geometry = whole.certificate, whole.geometry
    row: dict[str, Any] = {
        "prompt_number": index,
        "prompt": whole.labels[index],
        "score": float(whole.scores[index]),
        "score_model": certificate.score_model[index],
        "box": list(geometry.box),
        "width": geometry.width,
        "height": geometry.height,
        "words": [word_to_json(word) for word in whole.words[index]],
        "certificate": _certificate_row(certificate.of([index])),
        "contrast": list(whole.contrast[index]) if whole.contrast else None,
        "notes": list(whole.notes),
    }
    if whole.matches:
        match = whole.matches[index]
        places = (match.among_prompts, match.among_images)
        row["evidence"] = match.evidence
        row |= {
            name: None if place is None else place.percentile
            for name, place in zip(PERCENTILES, places, strict=True)
        }
    if whole.maps is None:
        return row, None
    values = whole.maps[index].numpy()
    row["grid"] = list(values.shape)
    row["inside"] = inside_share(values, one.ready.coverage, index)
    scale = 1.0
    if map_type == "float16":
        scale = float(np.abs(values).max(initial=0.0)) or 1.0
    row[SCALE] = scale
    return row, (values.ravel() / np.float32(scale)).astype(_TYPES[map_type][1])


def inside_share(values: np.ndarray, coverage: tuple[Any, ...], index: int) -> float | None:
    """Share of a map's positive relevance on the object; None without an object or relevance.

    ``Σ max(H, 0) · c / Σ max(H, 0)`` with ``c`` the share of each patch that the object covers
    (energy-based pointing game, Wang et al. 2020, arXiv 1910.01279, on patches).
    """
    if not coverage:
        return None
    shares = coverage[0] if len(coverage) == 1 else coverage[index]
    positive = np.maximum(values, 0).astype(np.float64)
    total = positive.sum()
    return None if shares is None or total <= 0 else float((positive * shares).sum() / total)


def _certificate_row(certificate: Certificate) -> dict[str, Any]:
    row: dict[str, Any] = {
        "verdict": certificate.verdict,
        "score_check": certificate.score_check,
        "modified_computation": list(certificate.modified_computation),
        "modified_input": list(certificate.modified_input),
        "diagnostics": [(name, values[0]) for name, values in certificate.diagnostics.items()],
        "precision": certificate.precision,
        "tolerance": certificate.tolerance,
    }
    for side in SIDES:
        scores = certificate.scores.get(side)
        row[f"score_{side}"] = scores[0] if scores else None
        row[f"scope_{side}"] = certificate.scope.get(side)
        checked = certificate.checked.get(side)
        row[f"checked_{side}"] = list(checked) if checked else None
    return row


def to_explanation(row: Mapping[str, Any], run: Mapping[str, Any]) -> Explanation:
    """Rebuild the explanation of one row.

    Args:
        row: cells by column, as returned by ``Table.to_pylist``.
        run: fields that all rows share: ``model``, ``method``, ``methods``, ``options``,
            ``against``, ``geometry``, and the common ``prompts``, if any.

    Raises:
        OutputError: the row is an image that could not be read.
    """
    if row["error"] is not None:
        raise OutputError(f"{quoted(row['id'])} has no explanation: {row['error']}")
    maps = None
    if row[MAP] is not None:
        values = np.asarray(row[MAP], np.float32) * np.float32(row[SCALE])
        maps = torch.from_numpy(values.reshape(1, *row["grid"]))
    contrast = row["contrast"]
    return Explanation(
        model=run["model"],
        method=run["method"],
        prompts=(_prompt(row, run),),
        scores=torch.tensor([row["score"]]),
        maps=maps,
        words=(tuple(map(word_of, row["words"])),),
        certificate=_certificate(row["certificate"], row["score_model"]),
        geometry=Geometry(run["geometry"], row["width"], row["height"], Box(*row["box"])),
        options=dict(run["options"]),
        against=tuple(map(_hashable, run["against"])),
        notes=tuple(row["notes"]),
        contrast=((contrast[0], contrast[1]),) if contrast else (),
        methods=dict(run["methods"]),
        audits=Audits(),
    )


def _prompt(row: Mapping[str, Any], run: Mapping[str, Any]) -> Prompt:
    """The prompt of a row. The manifest stores an ensemble, the row only its first template."""
    common = run["prompts"]
    return _hashable(common[row["prompt_number"]]) if common else str(row["prompt"])


def _hashable(prompt: str | list[str]) -> Prompt:
    return prompt if isinstance(prompt, str) else tuple(prompt)


def _certificate(cells: Mapping[str, Any], score_model: float) -> Certificate:
    sides = [side for side in SIDES if cells[f"score_{side}"] is not None]
    return Certificate(
        score_model=(score_model,),
        scores={side: (cells[f"score_{side}"],) for side in sides},
        modified_computation=tuple(cells["modified_computation"]),
        modified_input=tuple(cells["modified_input"]),
        scope={side: cells[f"scope_{side}"] for side in SIDES if cells[f"scope_{side}"]},
        checked={
            side: (cells[f"checked_{side}"][0], cells[f"checked_{side}"][1])
            for side in SIDES
            if cells[f"checked_{side}"]
        },
        diagnostics={name: (value,) for name, value in cells["diagnostics"]},
        precision=cells["precision"],
        tolerance=cells["tolerance"],
    )
