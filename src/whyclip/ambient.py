"""A fixed torch state for all computation, independent of the caller's settings.

Inference mode, autocast, a default type or device and anomaly detection change what torch
computes, or whether it can differentiate. Every public function runs in the plain state and
restores the caller's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from threading import RLock, local
from typing import ParamSpec, TypeVar

import numpy as np
import torch

from whyclip.errors import InputError, WhyclipError, reason

P = ParamSpec("P")
R = TypeVar("R")

_AUTOCAST = ("cpu", "cuda", "mps", "xpu")


class _ProcessWide:
    """The state that all threads share: the first call sets it, the last one resets it."""

    def __init__(self) -> None:
        self.lock, self.calls = RLock(), 0
        self.dtype, self.anomaly, self.nan = torch.float32, False, False

    def enter(self) -> None:
        with self.lock:
            if not self.calls:
                self.dtype, self.anomaly = torch.get_default_dtype(), torch.is_anomaly_enabled()
                self.nan = torch.is_anomaly_check_nan_enabled()
                self._set(torch.float32, anomaly=False, nan=self.nan)
            self.calls += 1

    def leave(self) -> None:
        with self.lock:
            self.calls -= 1
            if not self.calls:
                self._set(self.dtype, anomaly=self.anomaly, nan=self.nan)

    @staticmethod
    def _set(dtype: torch.dtype, *, anomaly: bool, nan: bool) -> None:
        if dtype != torch.get_default_dtype():
            torch.set_default_dtype(dtype)
        if anomaly != torch.is_anomaly_enabled():
            torch.autograd.set_detect_anomaly(anomaly, nan)


_process_wide = _ProcessWide()
_here = local()


@contextmanager
def plain_state(name: str) -> Iterator[None]:
    """Put torch into the plain state for the duration of a call; nested calls change nothing.

    Args:
        name: name of the public function, for error messages.

    Raises:
        InputError: the call failed under a torch mode that whyclip cannot leave.
    """
    if getattr(_here, "inside", False):
        yield
        return
    modes = _lasting_modes()
    with ExitStack() as stack:
        _here.inside = True
        stack.callback(setattr, _here, "inside", False)
        _process_wide.enter()
        stack.callback(_process_wide.leave)
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        try:
            yield
        except WhyclipError:
            raise
        except Exception as error:
            if torch.are_deterministic_algorithms_enabled() and "deterministic" in str(error):
                modes.append("torch.use_deterministic_algorithms(True)")
            if not modes:
                raise
            raise InputError(
                f"{name} cannot run under {' and '.join(modes)}: {reason(error)}; "
                "call it outside of that mode"
            ) from error


def in_plain_state(function: Callable[P, R]) -> Callable[P, R]:
    """Run a public function in the plain state of torch; see :func:`plain_state`."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with plain_state(function.__name__):
            return function(*args, **kwargs)

    return run


def _lasting_modes() -> list[str]:
    """List the active modes that torch has no public way to leave."""
    modes = [type(mode).__name__.lstrip("_") for mode in _dispatch_modes()]
    functorch = getattr(torch._C, "_functorch", None)
    if getattr(functorch, "peek_interpreter_stack", lambda: None)() is not None:
        modes.append("a transform of torch.func")
    return modes


def _dispatch_modes() -> list[object]:
    from torch.utils import _python_dispatch

    return list(getattr(_python_dispatch, "_get_current_dispatch_mode_stack", list)())
