"""Explanations as JSON, npz and safetensors, without pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import save as safetensors_bytes

from whyclip.ambient import in_plain_state
from whyclip.audit_index import Audits, audit_statement, link_of, link_to_json
from whyclip.certificate import certificate_of, certificate_to_json
from whyclip.errors import OutputError, quoted, reason
from whyclip.explanation import Explanation, Prompt
from whyclip.files import is_file, path_of
from whyclip.match import match_of, match_to_json
from whyclip.types import Box, Geometry, Word

if TYPE_CHECKING:
    import pandas

READABLE = (".json", ".npz", ".safetensors")
_META, _MAPS, _IMAGE = "explanation", "maps", "image_png"


def to_json(explanation: Explanation) -> dict[str, Any]:
    """Convert an explanation to plain JSON types, without the image.

    ``values`` of a map are row by row, ``grid`` is rows and columns, ``box`` the rectangle of
    the original image that the grid covers: left, top, right, bottom in pixels.
    """
    certificate, geometry = explanation.certificate, explanation.geometry
    noted, audit = certificate_to_json(certificate), explanation.audit

    def plain(prompt: Prompt) -> str | list[str]:
        return prompt if isinstance(prompt, str) else list(prompt)

    prompts = []
    for index, prompt in enumerate(explanation.prompts):
        where = None
        if explanation.maps is not None:
            grid = explanation.maps[index]
            where = {
                "grid": list(grid.shape),
                "box": list(geometry.box),
                "values": grid.flatten().tolist(),
            }
        match = {"match": match_to_json(explanation.matches[index])} if explanation.matches else {}
        prompts.append(
            {
                "prompt": plain(prompt),
                "score": float(explanation.scores[index]),
                "score_model": certificate.score_model[index],
                "map": where,
                "words": [word_to_json(word) for word in explanation.words[index]],
                **match,
            }
        )
    return {
        "model": explanation.model,
        "method": explanation.method,
        "methods": dict(explanation.methods),
        "options": dict(explanation.options),
        "image": {
            "width": geometry.width,
            "height": geometry.height,
            "box": list(geometry.box),
        },
        "geometry": geometry.name,
        "prompts": prompts,
        "against": [plain(prompt) for prompt in explanation.against],
        "contrast": [list(pair) for pair in explanation.contrast],
        "notes": list(explanation.notes),
        "certificate": {
            **noted,
            "statements": [*noted["statements"], audit_statement(audit)],
            "audit": None if audit is None else link_to_json(audit),
        },
    }


def from_json(record: Mapping[str, Any], image: Image.Image | None = None) -> Explanation:
    """Rebuild an explanation from the output of :func:`to_json`.

    Raises:
        OutputError: a part is missing or has another type.
    """
    try:
        return _from_json(record, image)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise OutputError(f"not an explanation written by whyclip: {reason(error)}") from error


def word_to_json(word: Word) -> dict[str, Any]:
    """Convert a word to plain types; :func:`word_of` reads them."""
    return {
        "word": word.text,
        "relevance": word.relevance,
        "start": word.start,
        "end": word.end,
        "template": word.template,
    }


def word_of(record: Mapping[str, Any]) -> Word:
    """Read a word from the types of :func:`word_to_json`."""
    return Word(
        record["word"], record["start"], record["end"], record["relevance"], record["template"]
    )


def _from_json(record: Mapping[str, Any], image: Image.Image | None) -> Explanation:
    prompts, noted = record["prompts"], record["certificate"]
    maps = [entry["map"] for entry in prompts]
    image_record = record["image"]

    def prompt_of(plain: str | list[str]) -> Prompt:
        return plain if isinstance(plain, str) else tuple(plain)

    return Explanation(
        model=record["model"],
        method=record["method"],
        prompts=tuple(prompt_of(entry["prompt"]) for entry in prompts),
        scores=torch.tensor([entry["score"] for entry in prompts]),
        maps=torch.stack([torch.tensor(m["values"]).reshape(m["grid"]) for m in maps])
        if maps[0]
        else None,
        words=tuple(tuple(map(word_of, entry["words"])) for entry in prompts),
        certificate=certificate_of(noted, tuple(entry["score_model"] for entry in prompts)),
        geometry=Geometry(
            record["geometry"],
            image_record["width"],
            image_record["height"],
            Box(*image_record["box"]),
        ),
        image=image,
        options=record["options"],
        against=tuple(map(prompt_of, record["against"])),
        notes=tuple(record["notes"]),
        contrast=tuple((score, other) for score, other in record.get("contrast", ())),
        methods=record.get("methods", {}),
        matches=tuple(match_of(entry["match"]) for entry in prompts if entry.get("match")),
        audits=Audits(known=link_of(noted["audit"]) if noted.get("audit") else None),
    )


def to_dataframe(explanation: Explanation) -> pandas.DataFrame:
    """One row per patch and per word; see :meth:`Explanation.to_dataframe`."""
    try:
        import pandas
    except ImportError:
        raise OutputError("to_dataframe needs pandas; pip install 'whyclip[pandas]'") from None
    box, rows = explanation.geometry.box, []
    for index, label in enumerate(explanation.labels):
        shared = {"prompt": _encodable(label), "score": float(explanation.scores[index])}
        if explanation.maps is not None:
            gh, gw = explanation.maps.shape[1:]
            high, wide = (box.bottom - box.top) / gh, (box.right - box.left) / gw
            for (row, column), value in np.ndenumerate(explanation.maps[index].numpy()):
                left, top = box.left + column * wide, box.top + row * high
                rows.append(
                    {**shared, "side": "image", "row": row, "column": column, "left": left,
                     "top": top, "right": left + wide, "bottom": top + high,
                     "relevance": float(value)}
                )  # fmt: skip
        rows += [
            {**shared, "side": "text", "word": _encodable(word.text), "start": word.start,
             "end": word.end, "template": word.template, "relevance": word.relevance}
            for word in explanation.words[index]
        ]  # fmt: skip
    return pandas.DataFrame(rows)


def _encodable(text: str) -> str:
    """Escape unpaired surrogates, which text columns cannot contain."""
    return text.encode("utf-8", "backslashreplace").decode()


def encoded(explanation: Explanation, extension: str) -> bytes:
    """Encode as ``.json``, ``.npz`` or ``.safetensors``; the latter two include the image."""
    record = to_json(explanation)
    if extension == ".json":
        text = json.dumps(record, ensure_ascii=False, allow_nan=False, indent=1)
        # An unpaired surrogate has no UTF-8 encoding, but can be escaped in JSON.
        return text.encode("utf-8", "backslashreplace")
    arrays: dict[str, Any] = {}
    if explanation.maps is not None:
        arrays[_MAPS] = explanation.maps.numpy()
    if explanation.image is not None:
        image = BytesIO()
        explanation.image.save(image, "PNG")
        arrays[_IMAGE] = np.frombuffer(image.getvalue(), np.uint8)
    meta = json.dumps(record, allow_nan=False)
    if extension == ".safetensors":
        return safetensors_bytes(arrays, {_META: meta})
    packed = BytesIO()
    arrays[_META] = np.frombuffer(meta.encode(), np.uint8)
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


@in_plain_state
def load_explanation(path: str | Path) -> Explanation:
    """Read an explanation that :meth:`Explanation.save` wrote.

    Args:
        path: a ``.json``, ``.npz`` or ``.safetensors`` file; the latter two include the
            image. ``.html`` and ``.png`` cannot be read back.

    Raises:
        OutputError: no such file, unknown extension, or not written by whyclip.
    """
    path = path_of(path)
    name = quoted(str(path))
    if path.suffix.lower() not in READABLE:
        raise OutputError(f"cannot read {name}: expected one of {', '.join(READABLE)}")
    if not is_file(path):
        raise OutputError(f"no such file: {name}")
    try:
        record, image = _decoded(path)
    except Exception as error:
        raise OutputError(f"{name} was not written by whyclip: {reason(error)}") from error
    return from_json(record, image)


def _decoded(path: Path) -> tuple[dict[str, Any], Image.Image | None]:
    if path.suffix.lower() == ".json":
        return json.loads(path.read_text(encoding="utf-8")), None
    if path.suffix.lower() == ".safetensors":
        with safe_open(path, "numpy") as file:
            meta = (file.metadata() or {})[_META]
            pixels = file.get_tensor(_IMAGE) if _IMAGE in file.keys() else None  # noqa: SIM118
    else:
        with np.load(path, allow_pickle=False) as file:
            meta = file[_META].tobytes().decode()
            pixels = file.get(_IMAGE)
    if pixels is None:
        return json.loads(meta), None
    return json.loads(meta), Image.open(BytesIO(pixels.tobytes())).convert("RGB")
