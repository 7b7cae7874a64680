"""Loading by other libraries: their errors in one line, their notes and bars kept quiet."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from whyclip.errors import HubError, OptionError, WhyclipError

OFFLINE_HINT = (
    "without a connection use 'mini', which is part of whyclip, or a local path: "
    "'openclip:ARCH/FILE.safetensors', 'openclip:FOLDER', 'hf:FOLDER'"
)


@contextmanager
def fetching(spec: str, local: bool) -> Iterator[None]:
    """Turn what libraries raise while fetching or reading weights into one line."""
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
    """Keep the libraries' notes on what they load out of the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    # A bar is of use where gigabytes are fetched, and in the way before an error of a moment.
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
