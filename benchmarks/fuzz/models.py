"""Fuzzed models: tiny seeded models of both libraries, and mini."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import lru_cache
from io import StringIO
from typing import Any

from PIL import Image

import whyclip
from whyclip.cli import main
from whyclip.errors import OptionError, quoted
from whyclip.models import ModelView


@lru_cache
def view_of(name: str) -> ModelView:
    import tiny

    if name == "mini":
        return whyclip.load("mini", device="cpu")
    return whyclip.wrap(*(tiny.hf_parts() if name == "hf" else tiny.openclip_parts()))


def warm_up() -> None:
    """Trigger the imports that whyclip and the libraries do on first use."""
    for name in ("openclip", "hf"):
        for part in (None, "kernel_shap"):
            more = {"samples": 98} if part else {}
            whyclip.explain(view_of(name), Image.new("RGB", (40, 40)), "a dog", method=part, **more)
    for arguments in (["explain"], ["methods"]):
        with suppress(SystemExit), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            main(arguments)


@contextmanager
def tiny_model_on_the_command_line() -> Iterator[None]:
    """Replace mini by a tiny model in commands, so that thousands of commands can be run."""
    load = whyclip.load

    def cheap(spec: Any = "mini", device: Any = None, **more: Any) -> ModelView:
        if spec == "mini" and device in (None, "cpu") and not more:
            return view_of("openclip")
        if str(spec).partition(":")[0] in ("hf", "openclip") and "/" not in str(spec)[3:]:
            # The name of a model hub; cases must not use the network.
            raise OptionError(f"unknown model {quoted(spec)}; known: mini")
        return load(spec, device, **more)

    whyclip.load = cheap
    try:
        yield
    finally:
        whyclip.load = load
