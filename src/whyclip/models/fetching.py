"""Load models with other libraries, with one-line errors and without their messages."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from whyclip.errors import HubError, OptionError, WhyclipError

OFFLINE_HINT = (
    "without a connection, use 'mini' (part of whyclip) or a local path: "
    "'openclip:ARCH/FILE.safetensors', 'openclip:FOLDER', 'hf:FOLDER'"
)


@contextmanager
def fetching(spec: str, local: bool) -> Iterator[None]:
    """Convert library exceptions during downloads and reading to one-line errors."""
    try:
        with _quiet(bars=not local):
            yield
    except WhyclipError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".;: ")
        if local:
            raise OptionError(f"model {spec!r} cannot be read: {reason}") from error
        raise HubError(f"model {spec!r} cannot be fetched: {reason}; {OFFLINE_HINT}") from error


@contextmanager
def _quiet(*, bars: bool) -> Iterator[None]:
    """Hide the libraries' messages about loading."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    # A bar is useful for downloads of gigabytes, but not before an immediate error.
    logs = getattr(getattr(sys.modules.get("transformers"), "utils", None), "logging", None)
    silenced = logs is not None and not bars and logs.is_progress_bar_enabled()
    if logs is not None and silenced:
        logs.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if logs is not None and silenced:
            logs.enable_progress_bar()
