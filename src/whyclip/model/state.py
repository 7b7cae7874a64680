"""The present state of a user's model: training mode, and parts that were replaced or hooked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from whyclip.errors import ScoreMismatchError, UnsupportedModelError
from whyclip.model.model_view import ModelView

NAMED = 3


def check_state(model: ModelView) -> None:
    """Refuse a model that was put into training mode after it was wrapped.

    Raises:
        UnsupportedModelError: a part of it is in training mode.
    """
    if model.module is not None:
        refuse_training(model.name, model.module)


def refuse_training(name: str, module: nn.Module) -> None:
    """Refuse training mode, where dropout and running statistics change every pass.

    Raises:
        UnsupportedModelError: a part is in training mode; names the first.
    """
    for part_name, part in module.named_modules():
        if part.training:
            where = f"part {part_name!r}" if part_name and not module.training else "it"
            raise UnsupportedModelError(
                f"{name}: {where} is in training mode, where dropout and running statistics "
                "change what the model computes; call model.eval() first"
            )


def altered_parts(module: nn.Module) -> list[str]:
    """Name the modules that have forward hooks or a replaced ``forward``."""
    found = []
    for name, part in module.named_modules():
        if part._forward_hooks or part._forward_pre_hooks:
            found.append(f"forward hook on {name or 'the model'!r}")
        elif "forward" in vars(part):
            found.append(f"replaced forward of {name or 'the model'!r}")
    return found


@contextmanager
def naming_suspects(model: ModelView) -> Iterator[None]:
    """Add to a :class:`ScoreMismatchError` what in the model may be the reason."""
    try:
        yield
    except ScoreMismatchError as error:
        parts = altered_parts(model.module) if model.module is not None else []
        if not parts:
            raise
        more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
        reason = ", ".join(parts[:NAMED]) + more
        raise ScoreMismatchError(f"{error}; the model has a {reason}") from error
