"""Read weights files before the library does, and explain why they do not fit."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from whyclip.errors import OptionError

Shapes = Mapping[str, tuple[int, ...]]

IMAGE_POSITIONS = "visual.positional_embedding"
TEXT_POSITIONS = ("positional_embedding", "text.positional_embedding")
# big_vision's weights, which OpenCLIP converts array by array.
ARRAYS = (".npz", ".npy")
QUOTED = 2


def few(names: Iterable[str]) -> str:
    """List the first keys and the number of others."""
    ordered = sorted(names)
    more = f" and {len(ordered) - QUOTED} more" if len(ordered) > QUOTED else ""
    return ", ".join(f"'{name:.60}'" for name in ordered[:QUOTED]) + more


def read_shapes(path: Path) -> Shapes:
    """Read names and shapes of the tensors in a weights file, without running code.

    Returns:
        Shapes by name, without the prefix of ``DataParallel``; empty for NumPy arrays.

    Raises:
        OptionError: the file is not a state dict; the message names a fix.
    """
    if path.suffix in ARRAYS:
        return {}
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    else:
        shapes = {name: tuple(value.shape) for name, value in _state_dict(path).items()}
    if not shapes:
        raise OptionError(f"weights file {path.name!r} has no tensors")
    return {name.removeprefix("module."): shape for name, shape in shapes.items()}


def _state_dict(path: Path) -> Mapping[str, Tensor]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        if any(name.endswith("/constants.pkl") for name in names):
            raise OptionError(
                f"weights file {path.name!r} is TorchScript; save torch.jit.load(FILE).state_dict()"
                " instead, or wrap the model of clip.load(FILE, jit=False)"
            )
    content = _read(path)
    if isinstance(content, dict) and "state_dict" in content:
        content = content["state_dict"]
    if not isinstance(content, dict):
        raise OptionError(
            f"weights file {path.name!r} contains {type(content).__name__}, not a state dict; save "
            "model.state_dict()"
        )
    nested = [str(key) for key, value in content.items() if isinstance(value, dict)]
    if nested:
        raise OptionError(
            f"weights file {path.name!r} is a training checkpoint; save only its state dict: "
            f"torch.save(checkpoint[{nested[0]!r:.30}], FILE)"
        )
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _read(path: Path) -> Any:
    with path.open("rb") as file:
        start = file.read(2)
    # Magic bytes of a zip archive and of pickles.
    if start != b"PK" and not start.startswith(b"\x80"):
        raise OptionError(
            f"weights file {path.name!r} cannot be read: torch.save did not write it; give a "
            ".safetensors, .pt or .bin file"
        )
    try:
        try:
            return torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        except RuntimeError:
            # Files in the format before torch 1.6 cannot be memory-mapped.
            return torch.load(path, map_location="cpu", weights_only=True)
    # After any error, the library must not read the file with pickle.
    except Exception as error:
        held = re.search(r"GLOBAL ([\w.]+)", str(error))
        if held is None and "weights_only" not in str(error):
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise OptionError(f"weights file {path.name!r} cannot be read: {reason:.80}") from error
        what = f" ({held[1]:.40})" if held else ""
        raise OptionError(
            f"weights file {path.name!r} contains Python objects{what}, which are not loaded; "
            "save only its state dict, torch.save(model.state_dict(), FILE)"
        ) from error


def resampled(shapes: Shapes, model: Any) -> tuple[str, ...]:
    """Describe position embeddings that OpenCLIP resampled while loading a file.

    Args:
        shapes: shapes of the tensors in the file.
        model: the loaded model.
    """
    changes = []
    stored, now = shapes.get(IMAGE_POSITIONS), getattr(model.visual, "positional_embedding", None)
    if stored is not None and now is not None and stored[0] != len(now):
        old = round((stored[0] - 1) ** 0.5)
        rows, columns = model.visual.grid_size
        changes.append(
            "position embeddings resampled while loading, "
            f"from {old}×{old} to {rows}×{columns} patches"
        )
    text = getattr(model, "text", model)
    stored = next((shapes[key] for key in TEXT_POSITIONS if key in shapes), None)
    now = getattr(text, "positional_embedding", None)
    if stored is not None and now is not None and stored[0] != len(now):
        changes.append(
            "text position embeddings resampled while loading, "
            f"from {stored[0]} to {len(now)} positions"
        )
    return tuple(changes)


_KEYS = r"{} key\(s\) in state_dict: (.*?)\.\s*$"
_SIZES = r"size mismatch for (\S+): .*?from checkpoint, .*?current model is torch\.Size\(\[.*?\]\)"


def misfit(report: str, arch: str, shapes: Shapes) -> str | None:
    """Shorten torch's report on a state dict that does not fit to one line.

    Args:
        report: the full message.
        arch: name of the architecture.
        shapes: shapes of the tensors in the file.

    Returns:
        The line; None if the report is about something else.
    """
    missing, unexpected = (
        re.findall(r'"([^"]+)"', " ".join(re.findall(_KEYS.format(kind), report, re.M)))
        for kind in ("Missing", "Unexpected")
    )
    if missing or unexpected:
        parts = [f"it lacks {len(missing)} weights ({few(missing)})"] if missing else []
        if unexpected:
            parts.append(f"it has {len(unexpected)} others ({few(unexpected)})")
        return f"does not fit {arch}: {', and '.join(parts)}"
    sizes = re.findall(_SIZES, report)
    if not sizes:
        return None
    wanted = re.search(
        rf"size mismatch for {re.escape(sizes[0])}: .*?current model is torch\.Size\(\[(.*?)\]\)",
        report,
    )
    actual = "×".join(map(str, shapes.get(sizes[0], ())))
    expected = wanted[1].replace(", ", "×") if wanted else "another shape"
    more = f"; {len(sizes)} shapes differ" if len(sizes) > 1 else ""
    return f"does not fit {arch}: {sizes[0]!r} is {actual}, expected {expected}{more}"
