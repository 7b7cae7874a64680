"""Reference embeddings of many prompts and images for one model, and their file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.ambient import in_plain_state
from whyclip.errors import OptionError, OutputError, PromptError, check_choice, quoted, reason
from whyclip.files import is_file, path_of, write_atomic
from whyclip.match import Threshold
from whyclip.matching.encode import prompt_directions
from whyclip.matching.standing import calibrated
from whyclip.models import ModelView
from whyclip.models.state import check_state
from whyclip.types import GeometryName

VERSION = 1
_META, _PROMPTS, _IMAGES = "reference", "prompts", "images"
# Half precision changes the length of a unit embedding by less than this.
_LENGTH = 0.01


@dataclass(frozen=True, eq=False, repr=False)
class Reference:
    """Embeddings of many prompts and images, as a reference for scores.

    Attributes:
        model: name of the model.
        fingerprint: identifier of its weights.
        geometry: input mode of the images.
        prompts: reference prompts.
        nonsense: meaningless strings.
        images: names of the reference images.
        prompt_kind: noun for the prompts in sentences.
        rate: false-match rate of the thresholds that explanations show, 0 to 1.
        text_embeddings: ``[p + q, e]`` float16 unit embeddings of the p prompts and q nonsense
            strings.
        image_embeddings: ``[m, e]`` float16 unit embeddings of the images.
    """

    model: str
    fingerprint: str
    geometry: GeometryName
    prompts: tuple[str, ...]
    nonsense: tuple[str, ...]
    images: tuple[str, ...]
    prompt_kind: str
    rate: float
    text_embeddings: Tensor
    image_embeddings: Tensor

    def __repr__(self) -> str:
        return (
            f"Reference({self.model!r:.60}; {len(self.prompts)} prompts, {len(self.images)} images)"
        )

    @cached_property
    def text_rows(self) -> Tensor:
        """Unit rows ``[p + q, e]`` float32."""
        return F.normalize(self.text_embeddings.float(), dim=-1)

    @cached_property
    def image_rows(self) -> Tensor:
        """Unit rows ``[m, e]`` float32."""
        return F.normalize(self.image_embeddings.float(), dim=-1)

    def check(self, model: ModelView, geometry: GeometryName | None = None) -> None:
        """Check that the reference has the same model and geometry.

        Raises:
            OptionError: the model or the geometry differs.
        """
        fits = self.text_embeddings.shape[1] == model.width
        if model.fingerprint != self.fingerprint or not fits:
            raise OptionError(
                f"the reference was built with other weights (of {quoted(self.model)}) than those "
                f"of {quoted(model.name)}; build one for this model: whyclip.reference"
            )
        if geometry is not None and geometry != self.geometry:
            raise OptionError(
                f"the reference was built with geometry {self.geometry!r}, but the image is "
                f"explained with {geometry!r}; use the same"
            )

    @in_plain_state
    def threshold(
        self, model: ModelView, prompt: Any, *, rate: float | None = None, confidence: float = 0.95
    ) -> Threshold:
        """Calibrate a threshold for a prompt at a false-match rate.

        The threshold is the k-th largest score of the m reference images, with
        ``k = ⌊rate · (m + 1)⌋``. A new image from the same source exceeds it with probability at
        most ``k / (m + 1)``. The interval of the true rate comes from Beta(k, m − k + 1) and is
        exact for scores without ties. Reference images that do match the prompt raise the
        threshold, so fewer other images exceed it.

        Args:
            model: the model that the reference was built with.
            prompt: one prompt, or a list of templates.
            rate: false-match rate, 0 to 1; default: the rate of the reference.
            confidence: confidence level of the interval, 0 to 1.

        Raises:
            OptionError: the model differs, or there are too few images for this rate.
            PromptError: the prompt cannot be used.
        """
        check_state(model)
        self.check(model)
        if isinstance(prompt, Tensor):
            raise PromptError("a threshold needs a prompt, for example 'a dog'")
        if not isinstance(confidence, (int, float)) or not 0 < confidence < 1:
            raise OptionError(f"confidence={quoted(confidence)}: give a number between 0 and 1")
        direction = prompt_directions(model, [prompt])[0]
        wanted = self.rate if rate is None else rate
        return calibrated(model, self.image_rows @ direction, wanted, confidence)

    def save(self, path: str | Path) -> Path:
        """Write to an ``.npz`` file atomically; return the path.

        Raises:
            OutputError: the extension is not ``.npz`` or the file cannot be written.
        """
        path = check_reference_path(path)
        write_atomic(path, self._encoded)
        return path

    def digest(self) -> str:
        """Hash of the contents, as hexadecimal digits."""
        content = hashlib.blake2b(digest_size=8)
        names = (*self.prompts, *self.nonsense, *self.images)
        content.update(json.dumps([self.fingerprint, self.rate, *names]).encode())
        for rows in (self.text_embeddings, self.image_embeddings):
            content.update(rows.numpy().tobytes())
        return content.hexdigest()

    def _encoded(self) -> bytes:
        meta = {
            "version": VERSION,
            "model": self.model,
            "fingerprint": self.fingerprint,
            "geometry": self.geometry,
            "prompts": list(self.prompts),
            "nonsense": list(self.nonsense),
            "images": list(self.images),
            "prompt_kind": self.prompt_kind,
            "rate": self.rate,
        }
        file = BytesIO()
        arrays: dict[str, Any] = {
            _META: np.frombuffer(json.dumps(meta).encode(), np.uint8),
            _PROMPTS: self.text_embeddings.numpy(),
            _IMAGES: self.image_embeddings.numpy(),
        }
        np.savez(file, **arrays)
        return file.getvalue()


def check_reference_path(path: str | Path) -> Path:
    """Check that a reference can be written to a path.

    Raises:
        OutputError: the extension is not ``.npz`` or the folder does not exist.
    """
    path = path_of(path)
    name = quoted(str(path))
    if path.suffix.lower() != ".npz":
        raise OutputError(f"cannot write {name}: a reference is an .npz file")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {name}: no such folder: {quoted(str(path.parent))}")
    return path


@in_plain_state
def load_reference(path: str | Path) -> Reference:
    """Read a reference written by :meth:`Reference.save`.

    Args:
        path: an ``.npz`` file.

    Raises:
        OutputError: the file does not exist or is not a reference written by whyclip.
    """
    path = path_of(path)
    name = quoted(str(path))
    if not is_file(path):
        raise OutputError(f"no such file: {name}")
    try:
        with np.load(path, allow_pickle=False) as file:
            meta = json.loads(file[_META].tobytes().decode())
            text_embeddings, image_embeddings = (
                torch.from_numpy(file[key]) for key in (_PROMPTS, _IMAGES)
            )
        _check_version(meta.pop("version"))
        for key in ("prompts", "nonsense", "images"):
            meta[key] = tuple(map(str, meta[key]))
        loaded = Reference(
            **meta, text_embeddings=text_embeddings, image_embeddings=image_embeddings
        )
        _check_parts(loaded)
    except Exception as error:
        raise OutputError(
            f"{name} is not a reference written by whyclip: {_reason(error)}; build it again with "
            "whyclip reference"
        ) from error
    return loaded


def _check_version(version: object) -> None:
    if version != VERSION:
        raise ValueError(f"it has version {version!r}, not {VERSION}")


def _reason(error: Exception) -> str:
    # NumPy treats any file without its header as a pickle and suggests `allow_pickle`.
    return "it is not an .npz archive" if "pickle" in str(error) else reason(error)


def _check_parts(loaded: Reference) -> None:
    """Raise ValueError for contents that :meth:`Reference.save` does not write."""
    rate = loaded.rate
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < 1:
        raise ValueError(f"rate {quoted(rate)} is not between 0 and 1")
    check_choice("geometry", loaded.geometry, get_args(GeometryName))
    for part in (loaded.model, loaded.fingerprint, loaded.prompt_kind):
        if not isinstance(part, str):
            raise ValueError(f"{quoted(part)} is not a name")  # noqa: TRY004
    rows = (len(loaded.prompts) + len(loaded.nonsense), len(loaded.images))
    both = loaded.text_embeddings, loaded.image_embeddings
    for tensor, count in zip(both, rows, strict=True):
        if tensor.ndim != 2 or len(tensor) != count or tensor.dtype != torch.float16:
            raise ValueError(f"{count} names and {tensor.dtype} of shape {tuple(tensor.shape)}")
        # Written so that NaN fails too.
        if not bool(((tensor.float().norm(dim=-1) - 1).abs() < _LENGTH).all()):
            raise ValueError("an embedding does not have length 1")
    if both[0].shape[1] != both[1].shape[1]:
        raise ValueError(f"embeddings have widths {both[0].shape[1]} and {both[1].shape[1]}")
