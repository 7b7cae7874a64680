"""Options of every command that runs a model: ``--threads``, ``--quiet``, ``--verbose``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyclip.cli.terminal import Loudness, detail, loudness
from whyclip.errors import OptionError
from whyclip.process import importing

if TYPE_CHECKING:
    from whyclip.models import ModelView

SMALL = 60_000_000
"""Models with fewer parameters run on one CPU thread, unless ``--threads`` is given.

Their layers are so small that threads mostly wait for each other, especially on a busy machine.
"""

Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=1024,
        help="CPU threads. [dim]Default: 1 for a model under "
        f"{SMALL // 1_000_000} million parameters, else PyTorch's own choice.[/dim]",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print timings and the libraries' warnings.")
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print only the result, as one line of JSON. The docs have its schema."
    ),
]
_ADDED: dict[str, tuple[Any, Any]] = {
    "threads": (Threads, None),
    "quiet": (Quiet, False),
    "verbose": (Verbose, False),
}
_JSON: dict[str, tuple[Any, Any]] = {"as_json": (Json, False)}


class _Wanted:
    """Number of threads given to the running command."""

    threads: int | None = None


def shared(command: Callable[..., None], *, result: bool = True) -> Callable[..., None]:
    """Add the shared options to a command that runs a model.

    This includes ``--json``, unless the command declares it itself or has no result.
    """

    @wraps(command)
    def run(*, threads: int | None, quiet: bool, verbose: bool, **given: Any) -> None:
        if quiet and verbose:
            raise OptionError("--quiet and --verbose exclude each other; give one of them")
        level: Loudness = "quiet" if quiet else "verbose" if verbose else "normal"
        as_json = given["as_json"] if "as_json" in declared else given.pop("as_json", False)
        with loudness(level, json=as_json), _threads(threads):
            command(**given)

    declared = inspect.signature(command, eval_str=True).parameters
    _extend(run, declared, _ADDED if "as_json" in declared or not result else {**_ADDED, **_JSON})
    return run


def with_json(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--json`` to a command that runs no model."""

    @wraps(command)
    def run(*, as_json: bool, **given: Any) -> None:
        with loudness("normal", json=as_json):
            command(**given)

    _extend(run, inspect.signature(command, eval_str=True).parameters, _JSON)
    return run


def _extend(
    run: Any, declared: Mapping[str, inspect.Parameter], added: Mapping[str, tuple[Any, Any]]
) -> None:
    """Give a wrapper the parameters of its command and additional ones."""
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in added.items()
    ]
    parameters = [
        *(one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in declared.values()),
        *more,
    ]
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {one.name: one.annotation for one in parameters}


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """Restore the number of threads afterwards, for callers of ``main`` in Python."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    _Wanted.threads = wanted
    try:
        yield
    finally:
        _Wanted.threads = None
        if before is not None:
            sys.modules["torch"].set_num_threads(before)


def load(spec: str, device: str | None) -> ModelView:
    """Load a model for a command, and set a suitable number of threads.

    Raises:
        WhyclipError: as from :func:`whyclip.load`.
    """
    use_threads(1 if spec == "mini" else None)
    with importing():
        import whyclip.models

        if not spec.startswith("hf:"):
            import open_clip  # noqa: F401  needed for loading, and imported faster here
    view = whyclip.load(spec, device)
    if view.module is not None:
        count = sum(one.numel() for one in view.module.parameters())
        use_threads(1 if count < SMALL else None)
    import torch

    detail(f"PyTorch {torch.__version__}, CPU threads: {torch.get_num_threads()}")
    return view


def use_threads(suited: int | None) -> None:
    """Set PyTorch's number of threads.

    Args:
        suited: number for this model if ``--threads`` is not given; None does not change it.
    """
    number = _Wanted.threads or suited
    if number is not None:
        import torch

        torch.set_num_threads(number)
