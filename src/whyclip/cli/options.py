"""Options that several commands share, and how their values are checked before any work."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    get_args,
    get_origin,
    get_type_hints,
)

import typer

from whyclip.errors import OptionError, PromptError, quoted, unknown

if TYPE_CHECKING:
    from whyclip.methods import Method

Image = Annotated[
    str,
    typer.Argument(help="The image: any file Pillow can read, or - for stdin.", metavar="IMAGE"),
]
OptionalPrompts = Annotated[
    list[str] | None,
    typer.Argument(help="Prompts, each in quotes. Each gets a row of maps.", metavar="PROMPT"),
]
PromptsFile = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FILE", help="Text file with more prompts, one per line."),
]
OneMethod = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        "--methods",
        metavar="NAME",
        help="Method that computes relevance. [dim]Default: chosen for the model. "
        "See: whyclip methods.[/dim]",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="[bold]mini[/bold] (comes with whyclip), openclip:ARCH/PRETRAINED, "
        "openclip:ARCH/FILE.safetensors, openclip:FOLDER, hf:NAME or hf:FOLDER. "
        "[dim]See: whyclip models.[/dim]",
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROMPT",
        help="Explain why each prompt [italic]rather than[/italic] this one: the difference "
        "of the two scores. Given several times: rather than their mean.",
    ),
]
Geometry = Annotated[
    str,
    typer.Option(
        help="Part of the image that the model sees. [bold]model[/bold]: its own preprocessing, "
        "usually a centred square. [bold]keep[/bold]: all of it, with its aspect ratio; "
        "position embeddings are resampled. [bold]pad[/bold]: all of it, with mean-coloured "
        "borders."
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        help="[bold]fp32[/bold], or [bold]bf16[/bold]: faster on hardware made for it, less exact."
    ),
]
Check = Annotated[
    str,
    typer.Option(
        help="Inputs run through the model's public entry point for the score check. "
        "[bold]auto[/bold]: every image, and of many prompts a sample. [bold]all[/bold], or "
        "[bold]none[/bold]."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, cuda:1, mps ... [dim]Default: the first GPU, else the CPU.[/dim]"
    ),
]


def check_device(given: str | None) -> None:
    """Refuse a device that this machine does not have.

    Raises:
        OptionError: no such kind of device, or none of that kind here.
    """
    if given is None:
        return
    import torch

    try:
        # A device without memory, such as "meta", has no number to give back.
        torch.ones(1, device=given).item()
    # What is raised depends on the kind of device and on how torch was built.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:80]
        raise OptionError(
            f"--device {given!r} cannot be used here ({reason}); 'cpu' always can"
        ) from error


def check_prompts(prompts: Sequence[str]) -> None:
    """Refuse empty prompts before a model is loaded for them.

    Raises:
        PromptError: there is none, or one of them is empty.
    """
    if not prompts:
        raise PromptError("no prompt given; write at least one in quotes, such as 'a dog'")
    for index, prompt in enumerate(prompts, start=1):
        if not prompt.strip():
            raise PromptError(f"prompt #{index} is empty: {prompt!r}; write some words")


def read_prompts(path: Path) -> list[str]:
    """Read prompts from a text file, one per line; empty lines do not count.

    Raises:
        PromptError: no such file, not a text, or nothing in it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise PromptError(f"--prompts {str(path)!r} cannot be read: {reason}") from None
    found = [line.strip() for line in lines if line.strip()]
    if not found:
        raise PromptError(f"--prompts {str(path)!r} has no prompt in it; write one per line")
    return found


def one_name(option: str, given: Sequence[str] | None) -> str | None:
    """The one name that an option was given, if any.

    Raises:
        OptionError: several names; or none, although the option was given.
    """
    names = split_names(given)
    if given and len(names) != 1:
        raise OptionError(
            f"{option} {','.join(given)!r} names {len(names)} methods; explain takes one, and "
            "whyclip compare takes several"
        )
    return names[0] if names else None


def split_names(given: Iterable[str] | None) -> list[str]:
    """Names separated by commas, from an option that may be given several times."""
    names = [name.strip() for text in given or () for name in text.split(",")]
    return [name for name in names if name]


def parse_options(method: Method, pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs by the types of the method's own options.

    Raises:
        OptionError: not a pair, a name the method does not know, or a value of another type.
    """
    return method.complete(parse_pairs(method.name, method.options, method.relevance, pairs))


def parse_pairs(
    name: str, known: Mapping[str, Any], function: Callable[..., Any], pairs: Sequence[str]
) -> dict[str, Any]:
    """Read ``KEY=VALUE`` pairs by the types of a function's keywords.

    Args:
        name: whose options they are.
        known: the keywords and their defaults.
        function: that has them.
        pairs: as the user wrote them.

    Raises:
        OptionError: not a pair, an unknown name, or a value of another type.
    """
    hints = get_type_hints(function)
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise OptionError(
                f"--option {quoted(pair)} is not KEY=VALUE; {_options_of(name, known)}"
            )
        if key not in known:
            if not known:
                raise OptionError(f"--option {quoted(pair)}: {_options_of(name, known)}")
            raise unknown(f"option of {name}", key, known)
        options[key] = _parse_value(key, text, hints[key])
    return options


def _options_of(name: str, known: Mapping[str, Any]) -> str:
    if not known:
        return f"{name} has no options"
    defaults = ", ".join(f"{key}={show(value)}" for key, value in known.items())
    return f"options of {name}: {defaults}"


def show(value: Any) -> str:
    """Write a default as the user would type it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return str(value)


_WORDS: Mapping[type, Mapping[str, Any]] = {
    bool: {"true": True, "yes": True, "on": True, "1": True}
    | {"false": False, "no": False, "off": False, "0": False},
    NoneType: {"none": None, "default": None},
}
_EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", NoneType: "none"}


def _parse_value(key: str, text: str, hint: Any) -> Any:
    """Read a value as the first of the hint's types that it fits."""
    if get_origin(hint) is Literal:
        return next((choice for choice in get_args(hint) if show(choice) == text), text)
    types = get_args(hint) or (hint,)
    for kind in types:
        if kind in _WORDS and text.lower() in _WORDS[kind]:
            return _WORDS[kind][text.lower()]
        if kind in (int, float, str):
            try:
                value = kind(text)
            except ValueError:
                continue
            return _sized(key, value)
    expected = " or ".join(_EXPECTED.get(kind, str(kind)) for kind in types)
    raise OptionError(f"--option {key}={quoted(text)}: expected {expected}")


def _sized(key: str, value: Any) -> Any:
    """Return a value that computing can hold.

    Raises:
        OptionError: an integer of more than 64 bits, an infinite number or NaN.
    """
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise OptionError(f"--option {key}={quoted(value)}: a smaller number is needed")
    if isinstance(value, float) and not math.isfinite(value):
        raise OptionError(f"--option {key}={value}: a finite number is needed")
    return value
