"""Save the fine-tuned model as a folder that the model's own library opens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from whyclip.errors import OutputError, UnsupportedModelError, quoted, reason
from whyclip.finetuning.checkpoint import plain
from whyclip.finetuning.openclip_config import Config, openclip_config
from whyclip.inputs.preprocessing import image_processor
from whyclip.models import ModelView
from whyclip.models.openclip.loading import OPENCLIP_CONFIG, WEIGHTS

MODEL = "model"

Save = Callable[[Path], None]


def saver(view: ModelView, config: Config | None = None) -> Save:
    """Choose, before training, how to save the model.

    Args:
        view: the model.
        config: configuration of an OpenCLIP model that the user wrapped.

    Returns:
        Function that writes the view's current weights into a folder.

    Raises:
        OptionError: an OpenCLIP model whose configuration is unknown.
        UnsupportedModelError: no library opens this kind of model from a folder.
    """
    module = view.module
    if hasattr(module, "save_pretrained"):
        if image_processor(view.preprocess) is None:
            raise UnsupportedModelError(
                f"{view.name}: a transformers model is saved with its image processor, but its "
                "preprocessing is a function; wrap it with the model's image processor"
            )
        return lambda folder: _save_hf(view, folder)
    if type(module).__module__.partition(".")[0] == "open_clip":
        content = openclip_config(view, config)
        return lambda folder: _save_openclip(view, content, folder)
    raise UnsupportedModelError(
        f"{view.name} is a {type(module).__name__} of {type(module).__module__:.40}, which has no "
        "folder format; load the same weights through 'openclip:ARCH/PRETRAINED'"
    )


def save_model(save: Save, folder: Path) -> Path:
    """Write the model into a folder, atomically.

    Raises:
        OutputError: it cannot be written. An earlier result is kept.
    """
    beside = folder.with_name(f".writing-{folder.name}")
    try:
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        save(beside)
        if folder.exists():
            shutil.rmtree(folder)
        beside.replace(folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        why = getattr(error, "strerror", None) or reason(error)
        raise OutputError(
            f"cannot write the model to {quoted(str(folder))}: {why:.100}; free some space and run "
            "the same command again (the checkpoints are kept)"
        ) from error
    return folder


def _save_openclip(view: ModelView, content: dict[str, Any], folder: Path) -> None:
    save_file(plain(_state(view.module)), folder / WEIGHTS[0], {"format": "pt"})
    text = json.dumps(content, indent=2) + "\n"
    (folder / OPENCLIP_CONFIG).write_text(text, encoding="utf-8")
    inner: Any = getattr(view.tokenizer, "tokenizer", None)
    # Only tokenizers of transformers have their own files; OpenCLIP contains CLIP's tokenizer.
    if hasattr(inner, "save_pretrained"):
        inner.save_pretrained(folder)


def _save_hf(view: ModelView, folder: Path) -> None:
    module: Any = view.module
    module.save_pretrained(folder)
    processor: Any = image_processor(view.preprocess)
    processor.save_pretrained(folder)
    tokenizer = getattr(view.tokenizer, "tokenizer", view.tokenizer)
    if hasattr(tokenizer, "save_pretrained"):
        tokenizer.save_pretrained(folder)


def _state(module: nn.Module | None) -> dict[str, Any]:
    assert module is not None
    return dict(module.state_dict())
