"""``whyclip benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyclip.cli import options
from whyclip.cli.terminal import emit, note, stdout, wrote
from whyclip.errors import OutputError
from whyclip.process import importing

if TYPE_CHECKING:
    from rich.table import Table

    from whyclip.studies.benchmark import Benchmark

HELP = """
Compare explanation methods over a family of small models.

The family has five ordinary models, models trained with a shortcut (a badge, a written word, a \
background), a model that ignores prompts, and an untrained one. Scenes are redrawn without an \
object or with another colour, and words are replaced. Relevance should follow the score change.

\b
[bold]Examples[/bold]
  [dim]# train missing models, once: a few minutes each[/dim]
  whyclip benchmark --train
  [dim]# all fast methods on all models[/dim]
  whyclip benchmark --out benchmark
  [dim]# two methods on two models[/dim]
  whyclip benchmark --methods grad_eclip,contribution --models ordinary-0,badge-0 --out two
"""

FOLDER = Path("benchmark")


def benchmark(
    methods: options.Methods = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Models of the family, such as badge-0. [dim]Default: all trained models.[/dim]",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=2, help="Number of scenes.")] = None,
    planted: Annotated[
        int | None, typer.Option(min=2, help="Number of scenes with each cue.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed of the scenes.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="Folder of the models' weights. [dim]Default: a cache folder.[/dim]"),
    ] = None,
    train: Annotated[bool, typer.Option("--train", help="Train missing models and exit.")] = False,
    out: Annotated[Path, typer.Option(help="Folder of the report; a run resumes there.")] = FOLDER,
) -> None:
    """See ``HELP``."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"--out {str(out)!r} is a file; name a folder")
    wanted, named = options.split_names(models), options.split_names(methods)
    with importing():
        from whyclip.selection import variants_of
        from whyclip.studies.benchmark import benchmark as run
        from whyclip.studies.benchmark.run import LIMIT, PLANTED, SEED
        from whyclip.studies.family.recipe import FAMILY, Member
        from whyclip.studies.family.weights import train_missing

    variants = variants_of(named) or None
    members = tuple(map(Member.of, wanted)) or None
    if train:
        trained = {}
        for member, facts in train_missing(weights, members or FAMILY):
            trained[member.name] = float(facts["recall"])
            note(f"{member.name}: recall@k {float(facts['recall']):.0%}")
        if not trained:
            note("all models are trained")
        emit({"trained": trained})
        return
    result = run(
        members,
        variants,
        limit=limit or LIMIT,
        planted=planted or PLANTED,
        seed=SEED if seed is None else seed,
        weights=weights,
        out=out,
    )
    page = result.save(out)
    for side in ("image", "text"):
        stdout().print(_table(result, side))
    emit({**result.to_json(), "report": str(page)})
    wrote(page)


def _table(result: Benchmark, side: str) -> Table:
    """List the methods of a side by mean rank, with the mean of each check."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    checks = result.checks(side)  # type: ignore[arg-type]
    longest = max((len(method) for method, _ in result.order(side)), default=0)  # type: ignore
    table.add_column(f"{side}s", min_width=longest)
    # One word per line, so that the table fits into 80 columns.
    for heading in ("rank", *(check.replace("_", "\n") for check in checks)):
        table.add_column(heading, justify="right")
    for method, rank in result.order(side):  # type: ignore[arg-type]
        means = (result.interval(check, method, side).mean for check in checks)  # type: ignore
        table.add_row(Text(method), f"{rank:.1f}", *(f"{mean:.2f}" for mean in means))
    return table
