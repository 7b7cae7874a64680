"""The models that are fuzzed: tiny seeded ones of both libraries, and mini."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import whyclip
from whyclip.errors import OptionError, quoted
from whyclip.model import ModelView

sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))

NAMES = ("openclip", "hf", "mini")


@lru_cache
def view_of(name: str) -> ModelView:
    import tiny

    if name == "mini":
        return whyclip.load("mini", device="cpu")
    return whyclip.wrap(*(tiny.hf_parts() if name == "hf" else tiny.openclip_parts()))


@contextmanager
def tiny_model_on_the_command_line() -> Iterator[None]:
    """Let commands get a tiny model in place of mini, so that thousands of them are run."""
    load = whyclip.load

    def cheap(spec: Any = "mini", device: Any = None, **more: Any) -> ModelView:
        if spec == "mini" and device in (None, "cpu") and not more:
            return view_of("openclip")
        if str(spec).partition(":")[0] in ("hf", "openclip") and "/" not in str(spec)[3:]:
            # A name of a hub: no case may reach for the network.
            raise OptionError(f"unknown model {quoted(spec)}; known: mini")
        return load(spec, device, **more)

    whyclip.load = cheap
    try:
        yield
    finally:
        whyclip.load = load
