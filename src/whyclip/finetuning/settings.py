"""The settings of a fine-tuning run, checked before any work is done."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

from whyclip.errors import OptionError, check_choice, quoted
from whyclip.finetuning.batch import PHRASES_PER_CAPTION, TEMPLATE
from whyclip.types import TrainingPrecision

# These change neither the weights nor the order of the data, so a resumed run may change them.
FREE = frozenset({"checkpoint_every", "log_every", "workers"})

_LEAST: Mapping[str, float] = {
    "steps": 1,
    "epochs": 0,
    "batch_size": 1,
    "learning_rate": 0,
    "weight_decay": 0,
    "warmup": 0,
    "clip": 0,
    "accumulate": 1,
    "ema": 0,
    "lora": 0,
    "local": 0,
    "removal": 0,
    "relevance": 0,
    "phrases": 1,
    "seed": 0,
    "checkpoint_every": 1,
    "log_every": 1,
    "workers": 0,
}
_POSITIVE = ("learning_rate", "epochs")
# Beyond this, numbers overflow float32 inside the optimiser.
_MOST = 1e30


@dataclass(frozen=True)
class Settings:
    """Settings of a fine-tuning run.

    Attributes:
        steps: number of optimiser steps; None if ``epochs`` sets it. 1000 if both are None.
        epochs: number of passes over the data, for data of known size; may be a fraction.
        batch_size: images of one contrastive batch, over all processes.
        learning_rate: peak learning rate.
        weight_decay: decoupled weight decay of matrices. Norms, biases, and the logit scale
            have none.
        betas: decay rates of AdamW's moments.
        warmup: steps over which the learning rate rises linearly from 0 to its peak. It then
            falls to 0 along a cosine.
        clip: maximum gradient norm; larger gradients are scaled down. 0 turns it off.
        accumulate: batches whose gradients one optimiser step averages. The contrastive loss
            compares images and captions within each batch only.
        precision: ``"fp32"``, or mixed precision ``"bf16"`` or ``"fp16"`` (GPU only). Weights
            stay in float32.
        checkpoint_blocks: recompute each block's activations in the backward pass; this needs
            less memory and more time.
        ema: decay of the moving average of the weights, for example 0.999; 0 turns it off. The
            average is saved instead of the last weights.
        freeze_text: train only the image encoder and the logit scale.
        lora: rank of low-rank adapters, which are trained instead of the weights and merged
            into them at the end; 0 trains the weights.
        local: weight of the phrase–region loss.
        removal: weight of the removal loss on marked patches.
        relevance: weight of the relevance penalty on marked patches.
        guidance: method whose maps guide the local loss, ``"uniform"``, or ``"true"`` for the
            true masks of the data.
        weigh: weight each phrase by the maximum of its map in the local loss.
        template: sentence that contains the phrase, with ``{}`` in its place.
        phrases: maximum number of phrases per caption.
        extractor: ``"auto"``, ``"rules"``, ``"spacy"``, or a function from a caption to phrases.
        seed: random seed of the data order and of dropout.
        checkpoint_every: steps between checkpoints; one more is written at the end.
        log_every: steps between rows of the log.
        workers: processes that read data; 0 reads it in the training process.
    """

    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 128
    learning_rate: float = 1e-5
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.98)
    warmup: int = 20
    clip: float = 1.0
    accumulate: int = 1
    precision: TrainingPrecision = "fp32"
    checkpoint_blocks: bool = False
    ema: float = 0.0
    freeze_text: bool = False
    lora: int = 0
    local: float = 1.0
    removal: float = 0.0
    relevance: float = 0.0
    guidance: str = "grad_eclip"
    weigh: bool = False
    template: str = TEMPLATE
    phrases: int = PHRASES_PER_CAPTION
    extractor: str | Callable[[str], Sequence[str]] = "auto"
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 1
    workers: int = 0

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            OptionError: a setting is wrong; the message names the first one.
        """
        for name, least in _LEAST.items():
            _check_number(name, getattr(self, name), least)
        if self.steps is not None and self.epochs is not None:
            raise OptionError(
                f"steps={self.steps} and epochs={self.epochs} exclude each other; give one of them"
            )
        check_choice("precision", self.precision, get_args(TrainingPrecision))
        if not self.ema < 1:
            raise OptionError(f"ema={self.ema} is not below 1; try 0.999, or 0 to turn it off")
        ok = isinstance(self.betas, tuple) and len(self.betas) == 2
        if not (ok and all(isinstance(b, float) and 0 <= b < 1 for b in self.betas)):
            raise OptionError(
                f"betas={quoted(self.betas)}: expected two numbers from 0 to below 1, "
                "such as (0.9, 0.98)"
            )
        if not isinstance(self.template, str) or "{}" not in self.template:
            raise OptionError(f"template {quoted(self.template)} has no {{}} for the phrase")
        if not (isinstance(self.extractor, str) or callable(self.extractor)):
            raise OptionError(
                f"extractor={quoted(self.extractor)}: give 'auto', 'rules', 'spacy' or a function"
            )

    def total(self, examples: int | None) -> int:
        """Count the optimiser steps of the run.

        Args:
            examples: number of examples in the data; None if unknown.

        Raises:
            OptionError: ``epochs`` is given and the size of the data is unknown.
        """
        if self.epochs is None:
            return self.steps or 1000
        if examples is None:
            raise OptionError(f"epochs={self.epochs} needs data of known size; give steps")
        batches = examples // self.batch_size
        return max(1, math.ceil(self.epochs * batches / self.accumulate))

    def rate(self, step: int, total: int) -> float:
        """Compute the learning rate of a step: linear warm-up, then a half cosine to 0.

        Loshchilov & Hutter, ICLR 2017, equation 5, without restarts.

        Args:
            step: number of steps done before this one.
            total: number of steps of the run.
        """
        warmup = min(self.warmup, total)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        share = (step - warmup) / max(1, total - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * share))

    def as_json(self) -> dict[str, Any]:
        """Describe the settings as plain data; a function becomes its name."""
        content = asdict(self)
        content["betas"] = list(self.betas)
        if callable(self.extractor):
            home = getattr(self.extractor, "__module__", "")
            name = getattr(self.extractor, "__qualname__", type(self.extractor).__name__)
            content["extractor"] = f"{home}:{name}"
        return content


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name the settings that differ between two runs, apart from those free to change.

    Args:
        before: settings of the earlier run as plain data.
        now: settings of this run as plain data.

    Returns:
        ``"name (before, now)"`` for each.
    """
    names = [field.name for field in fields(Settings)] + sorted(set(now) - set(_names()))
    return [
        f"{name} (was {before.get(name)!r:.40}, now {now.get(name)!r:.40})"
        for name in names
        if name not in FREE and before.get(name) != now.get(name)
    ]


def _names() -> list[str]:
    return [field.name for field in fields(Settings)]


def _check_number(name: str, value: object, least: float) -> None:
    if value is None and name in {"steps", "epochs"}:
        return
    whole = isinstance(least, int) and isinstance(_default(name), int | None)
    kinds: tuple[type, ...] = (int,) if whole and name != "epochs" else (int, float)
    kind = "a whole number" if kinds == (int,) else "a number"
    if isinstance(value, bool) or not isinstance(value, kinds) or not math.isfinite(value):  # type: ignore[arg-type]
        raise OptionError(f"{name}={quoted(value)}: expected {kind}")
    if value < least or (name in _POSITIVE and value == 0):  # type: ignore[operator]
        bound = "above 0" if name in _POSITIVE else f"of at least {least}"
        raise OptionError(f"{name}={value}: expected {kind} {bound}")
    if value > _MOST:  # type: ignore[operator]
        raise OptionError(f"{name}={value:g}: expected {kind} of at most {_MOST:g}")


def _default(name: str) -> object:
    return next(field.default for field in fields(Settings) if field.name == name)
