"""The command-line application, its exit codes and its error handling."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from whyclip import __version__
from whyclip.cli import audit as auditing
from whyclip.cli import benchmark as benchmarking
from whyclip.cli import bulk as explaining_many
from whyclip.cli import catalogue
from whyclip.cli import compare as comparing
from whyclip.cli import concepts as coding
from whyclip.cli import datasets as listing_datasets
from whyclip.cli import edits as editing
from whyclip.cli import evaluate as evaluating
from whyclip.cli import explain as explaining
from whyclip.cli import figure as drawing
from whyclip.cli import finetune as finetuning
from whyclip.cli import interaction as interacting
from whyclip.cli import metrics as listing_metrics
from whyclip.cli import reference as referencing
from whyclip.cli import regions as classifying_regions
from whyclip.cli import reproduce as reproducing
from whyclip.cli import web as serving
from whyclip.cli.faults import WRONG_INPUT, fault, hint_of
from whyclip.cli.shared import shared, with_json
from whyclip.cli.terminal import any_text, complain, quiet
from whyclip.errors import WhyclipError
from whyclip.process import INTERRUPTED

# ClickException, the base class of all usage errors: older versions of typer import it from
# click, and newer ones define it themselves.
_UsageError: type[Exception] = typer.BadParameter.__mro__[2]

HELP = """
Why did this image match this text?

Heat maps and word highlights for CLIP-like models. Each has a certificate with the explained \
score and the source of the map.

\b
[bold]Start here[/bold]
  whyclip explain scene.png "a dog" "a red car" --out why.html
  whyclip compare scene.png "a dog" --out compare.png
  whyclip explain --help
"""

app = typer.Typer(
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
app.command(help=explaining.HELP)(shared(explaining.explain))
app.command(help=explaining_many.HELP)(shared(explaining_many.bulk))
app.command(help=comparing.HELP)(shared(comparing.compare))
app.command(help=drawing.HELP)(shared(drawing.figure))
app.command(help=interacting.HELP)(shared(interacting.interaction))
app.command(help=editing.HELP)(shared(editing.edits))
app.command(help=coding.HELP)(shared(coding.concepts))
app.command(help=referencing.HELP)(shared(referencing.reference))
app.command(help=serving.HELP)(shared(serving.web, result=False))
app.command(help=evaluating.HELP)(shared(evaluating.evaluate))
app.command(help=finetuning.HELP)(shared(finetuning.finetune))
app.command(help=classifying_regions.HELP)(shared(classifying_regions.regions))
app.command(help=reproducing.HELP)(shared(reproducing.reproduce))
app.command(help=auditing.HELP)(shared(auditing.audit))
app.command(help=benchmarking.HELP)(shared(benchmarking.benchmark))
app.command(help=catalogue.METHODS_HELP)(with_json(catalogue.methods))
app.command(help=listing_metrics.HELP)(with_json(listing_metrics.metrics))
app.command(help=listing_datasets.HELP)(with_json(listing_datasets.datasets))
app.command(help=catalogue.MODELS_HELP)(with_json(catalogue.models))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"whyclip {__version__}")
        raise typer.Exit


@app.callback(help=HELP, invoke_without_command=True, no_args_is_help=False)
def whyclip(
    context: typer.Context,
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """See ``HELP``."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 success; 1 ``compare --equality`` found a difference, or the output pipe was
    closed; 2 invalid input, with one line on stderr; 3 a bug in whyclip; 130 interrupted.

    Args:
        arguments: command-line arguments after ``whyclip``; ``sys.argv`` by default.
    """
    command = typer.main.get_command(app)
    given = list(sys.argv[1:] if arguments is None else arguments)
    any_text()
    try:
        with quiet():
            code = command.main(given, prog_name="whyclip", standalone_mode=False)
    except WhyclipError as error:
        complain(f"{error}{hint_of(given)}")
        code = WRONG_INPUT
    except _UsageError as error:
        complain(f"{_usage(error)}{hint_of(given)} (see {_help_of(error)})")
        code = WRONG_INPUT
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("WHYCLIP_TRACEBACK"):
            raise
        message, code = fault(error)
        complain(message)
    if code == INTERRUPTED:
        # Newer versions of typer turn Ctrl-C into this code and print nothing.
        complain("interrupted")
    sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Exception) -> str:
    message: str = error.format_message()  # type: ignore[attr-defined]
    # Newer versions of typer put the kind of error before the sentence.
    return message.replace(": Value error, ", ": ").rstrip(".")


def _help_of(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"{context.command_path if context else 'whyclip'} --help"
