"""``whyclip methods`` and ``whyclip models``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from whyclip.cli import completion, lists
from whyclip.cli.terminal import emit, stdout
from whyclip.options import show

METHODS_HELP = """
List the methods with their cost, or show one method with its options.

\b
[bold]Examples[/bold]
  whyclip methods
  [dim]# one method, with its options[/dim]
  whyclip methods grad_eclip
  whyclip explain scene.png "a dog" --method grad_eclip --option spatial=none
"""

MODELS_HELP = """
List the supported models and how to name them.

\b
[bold]Examples[/bold]
  whyclip models
  [dim]# every architecture and pretrained tag of OpenCLIP[/dim]
  whyclip models --all
"""

LEGEND = """\
Costs are in forward passes of the model, for n prompts; slow methods run only if you name them.
whyclip methods METHOD shows the options of a method."""

FORMS = (
    ("mini", "comes with whyclip; needs no download"),
    ("openclip:ViT-B-16/openai", "an OpenCLIP architecture and pretrained tag; downloaded once"),
    ("openclip:ViT-B-16/weights.safetensors", "an OpenCLIP architecture and your own weights file"),
    ("openclip:path/to/folder", "a folder with open_clip_config.json and weights"),
    ("hf:openai/clip-vit-base-patch16", "a model of transformers; downloaded once"),
    ("hf:path/to/folder", "a folder written by save_pretrained"),
)

OPENCLIP_FAMILIES = (
    "its own ViT (class token, attentional pooling, CoCa), CLIP-ResNet, "
    "timm backbones such as SigLIP, SigLIP 2, EVA-CLIP and PE-Core"
)
OPAQUE = (
    "Encoders that average their patches or are convolutions (ConvNeXt, MobileCLIP) support "
    "only black-box methods, such as occlusion and rise."
)


def methods(
    name: Annotated[
        str | None,
        typer.Argument(
            help="Show this method's options.",
            metavar="[METHOD]",
            show_default=False,
            autocompletion=completion.methods,
        ),
    ] = None,
) -> None:
    """See ``METHODS_HELP``."""
    from rich.table import Table

    if name is not None:
        _describe(lists.find("methods", "method", name))
        emit(lists.records("methods", name))
        return
    emit(lists.records("methods"))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column()
    for method in lists.declared("methods").values():
        claims = [
            " and ".join(method.sides),
            _kind(method),
            *([f"sums to {method.sums_to}"] if method.sums_to else ()),
            f"explains {method.explains}",
        ]
        lines = (
            method.summary,
            f"[dim]{' · '.join(claims)}[/dim]",
            f"[dim]cost {method.cost}{' · slow' * method.slow} · {method.source}[/dim]\n",
        )
        table.add_row(method.name, "\n".join(lines))
    stdout().print(table, highlight=False)
    stdout().print(LEGEND, highlight=False, markup=False)


def _describe(method: Any) -> None:
    from rich.table import Table

    console = stdout()
    console.print(f"[bold]{method.name}[/bold]: {method.title} ({method.source})", highlight=False)
    console.print(method.summary, highlight=False)
    facts = Table.grid(padding=(0, 2))
    facts.add_row("explains", " and ".join(method.sides))
    facts.add_row("map", _kind(method))
    if method.sums_to:
        facts.add_row("sums to", method.sums_to)
    facts.add_row("cost", f"{method.cost}, for n prompts, in forward passes")
    facts.add_row("explains", method.explains)
    if method.needs:
        facts.add_row("needs", f"pip install 'whyclip\\[{method.needs}]'")
    for index, (key, default) in enumerate(method.options.items()):
        text = f"{key}={show(default)}" + _choices(method.choices.get(key, ()), default)
        facts.add_row("" if index else "options", text)
    console.print()
    console.print(facts, highlight=False)


def _kind(method: Any) -> str:
    target = "depends on the prompt" if method.text_specific else "the same for every prompt"
    return f"{target} · {'signed' if method.signed else 'never negative'}"


def _choices(choices: Sequence[object], default: object) -> str:
    others = [show(choice) for choice in choices if choice != default]
    return f" (or {', '.join(others)})" if others else ""


def models(
    every: Annotated[
        bool,
        typer.Option("--all", help="List every architecture and pretrained tag of OpenCLIP."),
    ] = False,
) -> None:
    """See ``MODELS_HELP``."""
    from rich.table import Table

    console = stdout()
    if every:
        import open_clip

        names = [f"openclip:{arch}/{tag}" for arch, tag in open_clip.list_pretrained()]
        emit({"models": names})
        for name in names:
            console.print(name, highlight=False, markup=False, soft_wrap=True)
        return
    emit({"forms": dict(FORMS), "families": titles(), "mini": mini_facts()})
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("--model", no_wrap=True, style="bold")
    table.add_column("description")
    for form, meaning in FORMS:
        table.add_row(form, meaning)
    console.print(table)
    console.print()
    console.print(f"openclip: supports {OPENCLIP_FAMILIES}.", highlight=False)
    console.print(f"hf: supports {', '.join(titles())}.", highlight=False)
    console.print(OPAQUE, highlight=False)
    console.print()
    for line in mini_facts():
        console.print(line, highlight=False)


def titles() -> list[str]:
    """List the titles of the model families of transformers."""
    return [family.title for family in lists.declared("families").values()]


def mini_facts() -> list[str]:
    """Describe the embedded model, from its configuration and weights."""
    import json
    from importlib import resources
    from math import prod

    folder = resources.files("whyclip") / "mini" / "weights"
    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))["model_cfg"]
    weights = folder / "open_clip_model.safetensors"
    with resources.as_file(weights) as path:
        size = path.stat().st_size / 1e6
        # A safetensors file starts with eight bytes for the length of a JSON header. It is read
        # here because the safetensors library would import torch.
        with path.open("rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = [entry["shape"] for key, entry in header.items() if key != "__metadata__"]
    vision, text = config["vision_cfg"], config["text_cfg"]
    side = vision["image_size"] // vision["patch_size"]
    parameters = sum(map(prod, shapes)) / 1e6
    return [
        f"mini: {parameters:.1f} million parameters, {size:.0f} MB; images of "
        f"{vision['image_size']}×{vision['image_size']} pixels on a {side}×{side} grid, "
        f"{vision['layers']} image and {text['layers']} text blocks, "
        f"{text['context_length']} tokens.",
        "It was trained on synthetic scenes of emoji artwork, for tests and demos, not on photos.",
    ]
