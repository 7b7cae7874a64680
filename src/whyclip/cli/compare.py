"""``whyclip compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyclip.cli import completion, figure_options, options
from whyclip.cli.given import read
from whyclip.cli.outputs import check_outputs
from whyclip.cli.shared import load
from whyclip.cli.terminal import emit, note, progress, stdout, wrote
from whyclip.process import importing
from whyclip.types import SIDES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from whyclip.explanation import Explanation
    from whyclip.models import ModelView
    from whyclip.render.layout import Layout
    from whyclip.selection import MethodsLike
    from whyclip.types import Side

HELP = """
Compare methods in one figure, with one column per method and one row per prompt.

All methods share one forward pass of the model.

\b
[bold]Examples[/bold]
  [dim]# all fast methods[/dim]
  whyclip compare scene.png "a dog" "a red car" --out compare.png
  [dim]# as a page, with one tab per method[/dim]
  whyclip compare scene.png "a dog" "a red car" --out compare.html
  [dim]# including the slow methods[/dim]
  whyclip compare scene.png "a dog" --method all
  [dim]# prompts from a file, one row each: "toy", "brown toy", "a dog with a toy"[/dim]
  whyclip compare scene.png --prompts words.txt --methods grad_eclip,contribution
  [dim]# two methods[/dim]
  whyclip compare scene.png "a dog" --methods grad_eclip,contribution
  [dim]# for a paper: one column wide, panels only[/dim]
  whyclip compare scene.png "a dog" --methods grad_eclip,rollout --width column --bare --out a.pdf
  [dim]# are Grad-ECLIP and Attention-ECLIP the same map? exit code 1 if they are not[/dim]
  whyclip compare scene.png "a dog" --equality
"""

ENDINGS = (".png", ".jpg", ".jpeg", ".pdf", ".svg", ".html")
DEFAULT_OUT = Path("compare.png")
EQUAL = ("grad_eclip", "attention_eclip")
EQUAL_WITHIN = 1e-5


def compare(
    image: options.Image,
    prompts: options.OptionalPrompts = None,
    prompts_file: options.PromptsFile = None,
    model: options.Model = "mini",
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            "--method",
            metavar="NAME,...",
            autocompletion=completion.methods_or_all,
            help="Methods to show, separated by commas, optionally with options such as "
            "grad_eclip:heads=single; may be given several times. [dim]Default: "
            "all fast methods that support the model. [/dim]"
            "[bold]all[/bold][dim] adds the slow ones (RISE, KernelSHAP, occlusion, integrated "
            "gradients, M2IB), which take minutes without a GPU. "
            "See: whyclip methods.[/dim]",
        ),
    ] = None,
    against: options.Against = None,
    geometry: options.Geometry = "model",
    precision: options.Precision = "fp32",
    device: options.Device = None,
    equality: Annotated[
        bool,
        typer.Option(
            "--equality",
            help="Print the largest relative difference between Grad-ECLIP and Attention-ECLIP, "
            f"and whether it is below {EQUAL_WITHIN:g}. Draws a figure only with --out.",
        ),
    ] = False,
    width: figure_options.Width = None,
    columns: figure_options.Columns = None,
    font_size: figure_options.FontSize = None,
    dpi: figure_options.Dpi = None,
    bare: figure_options.Bare = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help=f"File of the figure: {', '.join(ENDINGS[:-1])}; or .html for a page with one "
            f"tab per method. [dim]Default: {DEFAULT_OUT}.[/dim]",
        ),
    ] = None,
) -> None:
    """See ``HELP``."""
    target = out or (None if equality else DEFAULT_OUT)
    texts = [*(prompts or ()), *(options.read_prompts(prompts_file) if prompts_file else ())]
    options.check_prompts(texts)
    if against:
        options.check_prompts(against)
    check_outputs([target] if target else [], ENDINGS, [image])
    layout = figure_options.layout_of(width, columns, font_size, dpi, bare=bare)
    with progress(4) as begin:
        begin("starting")
        with importing():
            import whyclip
            from whyclip.selection import ALL
            from whyclip.variant import Variant

        named = options.split_names(method)
        chosen: list[Variant] | str | None = None
        if ALL in named:
            chosen = ALL
        elif method:
            variants = map(Variant.of, named or method)
            chosen = list({variant.label: variant for variant in variants}.values())
        picture = read(image)
        options.check_device(device)
        begin(f"loading {model}")
        view = load(model, device)
        begin("explaining")

        def explained(names: MethodsLike | None) -> dict[str, Explanation]:
            results = whyclip.compare(
                view,
                [picture],
                texts,
                names,
                against=against or None,
                geometry=geometry,
                precision=precision,
            )
            return {name: result for name, [result] in results.items()}

        explanations: dict[str, Explanation] = {}
        if target:
            if not isinstance(chosen, list):
                _say_left_out(view, every=chosen == ALL)
            explanations = explained(chosen)
            begin(f"writing {target.name}")
            titled = {method_title(one): explanation for one, explanation in explanations.items()}
            _draw(titled, target, layout)
        equal = explained(EQUAL) if equality else {}
    if not equality:
        stdout().print(_certificates(explanations))
    if target:
        wrote(target)
    _emit(image, explanations or equal, target)
    if equality and not _print_equality(*equal.values()):
        raise typer.Exit(1)


def _say_left_out(view: ModelView, *, every: bool) -> None:
    from whyclip.selection import select_variants

    for reason, names in select_variants(view, slow=every).left_out.items():
        note(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} skipped: {reason}")


def method_title(label: str) -> str:
    """Write the title of a method, with the options of its variant on the next line."""
    from whyclip.methods import METHODS

    name, *pairs = label.split(":")
    title = METHODS[name].title if name in METHODS else name
    return "\n".join((title, ", ".join(pairs))) if pairs else title


def _emit(image: str, explanations: Mapping[str, Explanation], target: Path | None) -> None:
    from whyclip.storage import to_json

    entries = [{"label": label, **to_json(one)} for label, one in explanations.items()]
    emit(
        {
            "file": image,
            "explanations": entries,
            "files": [str(target)] if target else [],
        }
    )


def _draw(explanations: Mapping[str, Explanation], path: Path, layout: Layout | None) -> None:
    from whyclip.files import write_atomic
    from whyclip.render import comparison, figure_bytes, page
    from whyclip.render.panels import methods_figure

    kind = path.suffix[1:].lower()
    if kind == "html":
        write_atomic(path, lambda: page(list(explanations.values())).encode())
        return
    if layout is not None:
        words = any(any(one.words) for one in explanations.values())
        drawn = methods_figure([explanations], layout, words=words)
        write_atomic(path, lambda: figure_bytes(drawn, kind))
        return
    write_atomic(path, lambda: figure_bytes(comparison(explanations), kind, dpi=160))


def _certificates(explanations: Mapping[str, Explanation]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("method")
    table.add_column("certificate")
    for name, explanation in explanations.items():
        table.add_row(name, str(explanation.certificate))
    return table


def _print_equality(one: Explanation, other: Explanation) -> bool:
    """Print the largest relative difference of each side; return whether all are within bounds."""
    sides = [side for side in SIDES if side in one.certificate.scores]
    differences = {side: relative_difference(one, other, side) for side in sides}
    for side, difference in differences.items():
        verdict = "equal" if difference < EQUAL_WITHIN else "NOT equal"
        stdout().print(
            f"{one.method} and {other.method}, {side}: largest relative difference "
            f"{difference:.1e}, {verdict} within {EQUAL_WITHIN:g}",
            highlight=False,
            soft_wrap=True,
        )
    return all(difference < EQUAL_WITHIN for difference in differences.values())


def relative_difference(one: Explanation, other: Explanation, side: Side) -> float:
    """Compute the largest difference of two explanations, relative to a prompt's largest value.

    Returns:
        The largest difference over all prompts; 0 if both explanations are zero.
    """
    from whyclip.studies.experiments.equality import relative_differences

    return max(relative_differences(one, other, side), default=0.0)
