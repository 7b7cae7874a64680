"""Options that several commands share, and checks of their values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from whyclip import types
from whyclip.cli import completion
from whyclip.errors import OptionError, PromptError

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
        autocompletion=completion.methods,
        help="Method that computes relevance, optionally with options: grad_eclip:heads=single. "
        "[dim]Default: chosen for the model. "
        "See: whyclip methods.[/dim]",
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")]
Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        autocompletion=completion.models,
        help="[bold]mini[/bold] (comes with whyclip), openclip:ARCH/PRETRAINED, "
        "openclip:ARCH/FILE.safetensors, openclip:FOLDER, hf:NAME or hf:FOLDER. "
        "[dim]See: whyclip models.[/dim]",
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--methods",
        "--method",
        metavar="NAME[:KEY=VALUE...],...",
        autocompletion=completion.methods,
        help="Methods, separated by commas, optionally with options; may be given several times. "
        "[dim]Default: all fast methods that support the model. The random baseline is always "
        "included. See: whyclip methods.[/dim]",
    ),
]
Against = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROMPT",
        help="Explain why each prompt [italic]rather than[/italic] this one, by the difference "
        "of the two scores. With several, the mean of their scores is subtracted.",
    ),
]
Geometry = Annotated[
    types.GeometryName,
    typer.Option(
        help="Part of the image in the model input. [bold]model[/bold]: its own preprocessing, "
        "usually a centred square. [bold]keep[/bold]: all of it, with its aspect ratio; "
        "position embeddings are resampled. [bold]pad[/bold]: all of it, with mean-coloured "
        "borders."
    ),
]
Precision = Annotated[
    types.Precision,
    typer.Option(
        help="[bold]bf16[/bold] is faster on hardware that supports it, but less accurate."
    ),
]
Check = Annotated[
    types.Check,
    typer.Option(
        help="Inputs that are compared with the model's public entry point (score check). "
        "[bold]auto[/bold]: every image, and a sample of many prompts."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, cuda:1, mps ... [dim]Default: the first GPU, else the CPU.[/dim]"
    ),
]

Outside = Annotated[
    bool,
    typer.Option("--outside", help="Allow a table to name files outside the dataset's folder."),
]


def check_device(given: str | None) -> None:
    """Check that this machine has the device.

    Raises:
        OptionError: unknown or missing device.
    """
    if given is None:
        return
    import torch

    try:
        # Fails on devices without memory, such as "meta".
        torch.ones(1, device=given).item()
    # The type of the exception depends on the device and on the build of torch.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0][:80]
        raise OptionError(
            f"--device {given!r} cannot be used here ({reason}); give 'cpu'"
        ) from error


def check_prompts(prompts: Sequence[str]) -> None:
    """Check prompts before a model is loaded.

    Raises:
        PromptError: no prompt, or an empty one.
    """
    if not prompts:
        raise PromptError("no prompt given; write at least one in quotes, such as 'a dog'")
    for index, prompt in enumerate(prompts, start=1):
        if not prompt.strip():
            raise PromptError(f"prompt #{index} is empty: {prompt!r}; write some words")


def read_prompts(path: Path) -> list[str]:
    """Read prompts from a text file, one per line; empty lines are skipped.

    Raises:
        PromptError: the file is missing, empty or not a text file.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise PromptError(f"--prompts {str(path)!r} cannot be read: {reason}") from None
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise PromptError(f"--prompts {str(path)!r} has no prompt; write one per line")
    return prompts


def one_name(option: str, given: Sequence[str] | None) -> str | None:
    """Return the single name given to an option, if any.

    Raises:
        OptionError: several names, or an empty value.
    """
    names = split_names(given)
    if given and len(names) != 1:
        raise OptionError(
            f"{option} {','.join(given)!r} names {len(names)} methods; explain takes one, and "
            "whyclip compare takes several"
        )
    return names[0] if names else None


def split_names(given: Iterable[str] | None) -> list[str]:
    """Split comma-separated names of an option that may be given several times."""
    names = [name.strip() for text in given or () for name in text.split(",")]
    return [name for name in names if name]
