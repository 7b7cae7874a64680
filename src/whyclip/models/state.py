"""State of a user's model: training mode, and parts that were replaced or hooked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import FunctionType, MethodType
from typing import get_args

from torch import nn
from torch.nn.modules import module as torch_modules

from whyclip.errors import (
    OptionError,
    ScoreMismatchError,
    UnsupportedModelError,
    check_choice,
    quoted,
)
from whyclip.inputs import GEOMETRIES
from whyclip.models.view import ModelView
from whyclip.types import GeometryName, Precision

NAMED = 3
LIBRARIES = ("torch", "open_clip", "clip", "transformers", "timm", "whyclip")
"""Trusted packages; models with modules of other packages are checked on every input."""
_FUNCTIONS = (FunctionType, MethodType, partial)
# Global hooks of torch.
_GLOBAL = (torch_modules._global_forward_hooks, torch_modules._global_forward_pre_hooks)


def check_asked(model: ModelView, geometry: GeometryName, precision: Precision) -> None:
    """Check that a model is wrapped, and that geometry and precision are known.

    Raises:
        OptionError: one of them is unknown; the message names a valid one.
    """
    if not isinstance(model, ModelView):
        raise OptionError(
            f"model is {quoted(model)}; load one with whyclip.load('mini') or "
            "whyclip.wrap(model, preprocess, tokenizer)"
        )
    check_choice("geometry", geometry, GEOMETRIES)
    check_choice("precision", precision, get_args(Precision))
    if geometry == "keep" and model.image.fixed_grid_reason:
        raise OptionError(
            f"geometry 'keep' needs grids that {model.name} does not support: "
            f"{model.image.fixed_grid_reason}; use 'model' or 'pad'"
        )


def check_state(model: ModelView) -> None:
    """Check that a model is in evaluation mode and has the same parts as when it was wrapped.

    Raises:
        UnsupportedModelError: a part of it is in training mode, or was replaced.
    """
    if model.module is not None:
        refuse_training(model.name, model.module)
        refuse_stale(model)
        _refuse_other_context(model)


def refuse_training(name: str, module: nn.Module) -> None:
    """Check that a model is in evaluation mode.

    Raises:
        UnsupportedModelError: a part is in training mode; the message names the first.
    """
    for part_name, part in module.named_modules():
        if part.training:
            where = f"part {part_name!r}" if part_name and not module.training else "it"
            raise UnsupportedModelError(
                f"{name}: {where} is in training mode, where dropout and running statistics "
                "change what the model computes; call model.eval() first"
            )


def is_altered(model: ModelView) -> bool:
    """Whether something in the model is hooked, replaced or of an unknown class."""
    return model.module is not None and bool(altered_parts(model.module))


def _refuse_other_context(model: ModelView) -> None:
    """Check that the tokenizer's number of tokens fits the text encoder."""
    length = getattr(model.tokenizer, "context_length", None)
    if model.classes is None and isinstance(length, int) and length != model.text.context:
        raise UnsupportedModelError(
            f"{model.name}: its tokenizer gives {length} tokens, but its text encoder takes "
            f"{model.text.context}; give the tokenizer of this model"
        )


def altered_parts(module: nn.Module) -> list[str]:
    """Describe parts that are hooked, replaced or of an unknown class."""
    descriptions = ["hook on every module"] if any(_GLOBAL) else []
    visited: set[type] = set()
    for name, part in module.named_modules():
        descriptions += [f"{what} {name or 'the model'!r}" for what in altered(part)]
        if type(part) not in visited:
            visited.add(type(part))
            descriptions += _foreign(type(part))
    return descriptions


def altered(part: nn.Module) -> list[str]:
    """List hooks and replaced functions of one module, such as ``"forward hook on"``."""
    if part._forward_hooks or part._forward_pre_hooks:
        return ["forward hook on"]
    return [
        f"replaced {name} of"
        for name, value in vars(part).items()
        if isinstance(value, _FUNCTIONS) and callable(getattr(type(part), name, None))
    ]


def _foreign(kind: type) -> list[str]:
    """List a class's functions that another package replaced, and unknown classes."""
    descriptions = []
    for owner in kind.__mro__[:-1]:
        home = _package(owner)
        if home not in LIBRARIES:
            descriptions.append(f"part of class {owner.__name__!r}")
        descriptions += [
            f"replaced {name} of class {owner.__name__!r}"
            for name, value in vars(owner).items()
            if isinstance(value, FunctionType) and _package(value) not in (home, *LIBRARIES)
        ]
    return descriptions


def _package(thing: object) -> str:
    return str(getattr(thing, "__module__", None)).partition(".")[0]


def held_modules(thing: object) -> Iterator[nn.Module]:
    """Yield every module that an encoder refers to, directly or through whyclip's objects."""
    visited: set[int] = set()
    waiting: list[object] = [thing]
    while waiting:
        item = waiting.pop()
        if id(item) in visited:
            continue
        visited.add(id(item))
        if isinstance(item, nn.Module):
            yield item
        elif isinstance(item, (tuple, list)):
            waiting += item
        elif _package(type(item)) == "whyclip":
            waiting += getattr(item, "__dict__", {}).values()


def refuse_stale(model: ModelView) -> None:
    """Check that no part was replaced since wrapping.

    Raises:
        UnsupportedModelError: the wrapper refers to a module that the model no longer has.
    """
    if model.module is None:
        return
    present = {id(part) for part in model.module.modules()}
    for tower in model.towers:
        for part in held_modules(tower):
            if id(part) not in present and not isinstance(part, nn.Identity):
                raise UnsupportedModelError(
                    f"{model.name}: a {type(part).__name__} of its {tower.side} encoder was "
                    "replaced after wrapping; call whyclip.wrap again"
                )


@contextmanager
def naming_suspects(model: ModelView) -> Iterator[None]:
    """Add the possible reason in the model to a :class:`ScoreMismatchError`."""
    try:
        yield
    except ScoreMismatchError as error:
        parts = altered_parts(model.module) if model.module is not None else []
        if not parts:
            raise
        more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
        reason = ", ".join(parts[:NAMED]) + more
        raise ScoreMismatchError(f"{error}; the model has a {reason}") from error
