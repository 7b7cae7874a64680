"""Page of a benchmark: ranks, tables of checks, reliance on cues."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

from whyclip.errors import OptionError
from whyclip.files import make_folder, write_atomic
from whyclip.report import Column, Picture, Report, Table
from whyclip.report.document import Section
from whyclip.report.facts import run_facts
from whyclip.report.rank_plot import rank_plot
from whyclip.stats.hierarchical import MIN_MODELS
from whyclip.stats.rankings import Ranking, ranking
from whyclip.studies.audit.checks import CHECKS
from whyclip.studies.benchmark.criteria import LEAST_CORRELATION, LEAST_RELIANCE, NO_RELIANCE
from whyclip.studies.benchmark.defaults import choose_default
from whyclip.types import SIDES, Side

if TYPE_CHECKING:
    from whyclip.studies.benchmark.result import Benchmark

RESULT = "benchmark.json"

HOW_TO_READ = f"""## How to read it

Every scene is drawn again with one change, for example without one of its objects, and every prompt
is written again with one word replaced. No pixel is hidden. Each value is a mean over the ordinary
models, with an interval that generalises to other models and images. Ranks compare the methods in
each check on each model; the best has rank 1.

Models of the other kinds learned a cue: a badge, a word in the image, or stripes behind the
objects. The reliance of a model on its cue is the score minus the score of the same scene without
the cue. The table shows the correlation of the relevance on the cue's patches with the reliance,
over all images of these models and the ordinary ones. A method passes if the interval is above
{LEAST_CORRELATION:g}, and fails if it is below. A cue with a mean reliance below
{LEAST_RELIANCE:g} is not judged. `object_mask` is a planted bad method: the mask of the named
object, independent of the model.
"""


def write_pages(result: Benchmark, folder: Path) -> Path:
    """Write the results as JSON and as a page; return the page."""
    make_folder(folder)
    content = json.dumps(result.to_json(), indent=1) + "\n"
    write_atomic(folder / RESULT, content.encode)
    return report_of(result).save(folder)


def report_of(result: Benchmark, command: str = "whyclip benchmark") -> Report:
    """Return the report."""
    sections: list[Section] = []
    for side in SIDES:
        if result.checks(side) and result.of_kind(NO_RELIANCE):
            sections += _side(result, side)
    if result.cues:
        sections += ["## Reliance on a cue", reliance_table(result)]
    sections += [HOW_TO_READ, models_table(result)]
    samples = max((record.samples for record in result.records), default=0)
    facts = run_facts(
        model=f"{len(result.records)} small CLIPs", dataset="scenes of 16 objects",
        samples=samples, seed=result.seed, seconds=sum(r.seconds for r in result.records),
    )  # fmt: skip
    return Report("Which method follows the model?", command, sections, facts)


def ranking_of(result: Benchmark, side: Side) -> Ranking:
    """Rank the methods of a side in every check on every ordinary model."""
    return ranking({name: (-rows).ravel().tolist() for name, rows in result.ranks(side).items()})


def default_words(result: Benchmark, side: Side) -> str:
    """Result of the rule for defaults in two sentences; empty if it cannot be applied."""
    try:
        choice = choose_default(result, side)
    except OptionError:
        return ""
    text = f"Among fast methods that explain the score, `{choice.best}` has the best mean rank."
    if choice.best == choice.today:
        return f"{text} It is the default."
    known = math.isfinite(choice.ahead.low)
    bounds = f" [{choice.ahead.low:.2f}, {choice.ahead.high:.2f}]" if known else ""
    text = f"{text} It is {choice.ahead.mean:.2f}{bounds} ranks ahead of `{choice.today}`, "
    if choice.default == choice.best:
        return f"{text}so the rule makes it the default."
    few = "which may be chance" if known else f"but fewer than {MIN_MODELS} models do not suffice"
    return f"{text}{few}: `{choice.today}` stays the default."


def _side(result: Benchmark, side: Side) -> list[Section]:
    best, rank = result.order(side)[0]
    number = len(result.of_kind(NO_RELIANCE)) * len(result.checks(side))
    return [
        f"## {'Images' if side == 'image' else 'Texts'}\n\n`{best}` has the best mean rank, "
        f"{rank:.1f} of {len(result.methods(side))}, over {number} pairs of a check and a model. "
        f"{default_words(result, side)}",
        Picture(
            rank_plot(ranking_of(result, side)),
            alt=f"Mean ranks of the methods on {side}s",
            caption="A bar joins methods whose mean ranks do not differ significantly.",
        ),
        checks_table(result, side),
    ]


def checks_table(result: Benchmark, side: Side, kind: str = NO_RELIANCE) -> Table:
    """One row per method, one column per check."""
    checks = result.checks(side)
    rows = tuple(
        {
            "method": method, "rank": rank,
            **{check: result.interval(check, method, side, kind) for check in checks},
        }
        for method, rank in result.order(side)
    )  # fmt: skip
    columns = [Column(check, CHECKS[check].title) for check in checks]
    number = len(result.of_kind(kind))
    return Table(
        f"Checks on {side}s",
        (Column("method"), Column("rank", "mean rank"), *columns),
        rows,
        note=f"Mean over the {kind} models ({number}), with its 95 % interval over models and "
        f"images, if there are at least {MIN_MODELS} models.",
    )


def reliance_table(result: Benchmark) -> Table:
    """One row per method, two columns per cue."""
    methods = list(dict.fromkeys(m for cue in result.cues for m in result.explained(cue)))
    rows = []
    for method in methods:
        row: dict[str, object] = {"method": method}
        for cue in result.cues:
            row[cue] = result.follows(cue, method)
            row[f"{cue} verdict"] = result.verdict(cue, method)
        rows.append(row)
    columns = [
        column
        for cue in result.cues
        for column in (Column(cue), Column(f"{cue} verdict", "verdict"))
    ]
    return Table(
        "Reliance on cues", (Column("method"), *columns), tuple(rows),
        note="Correlation of the relevance on the cue with the reliance on it, over models and "
        "images, with its 95 % interval.",
    )  # fmt: skip


def models_table(result: Benchmark) -> Table:
    """One row per model: its training data, its recall and its reliance on cues."""
    rows = []
    for record in result.records:
        drops = {cue: part.drops for cue, part in record.reliance.items()}
        recall = record.facts.get("recall")
        rows.append(
            {
                "model": record.model,
                "recall": float(recall) if recall else None,
                **{cue: sum(values) / len(values) for cue, values in drops.items()},
            }
        )
    cues = list(dict.fromkeys(cue for record in result.records for cue in record.reliance))
    return Table(
        "Models",
        (
            Column("model"), Column("recall", "recall@k"),
            *(Column(cue, f"reliance on {cue}") for cue in cues),
        ),
        tuple(rows),
        note="Recall@k: share of the k objects of a scene among the model's k best concepts. "
        "Reliance: drop of the cosine without the cue.",
    )  # fmt: skip
