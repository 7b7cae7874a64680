"""Every experiment is found, says what it is, and ends in a report that can be made again."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import typer
from benchmarks.page import verdicts

from whyclip.cli import app
from whyclip.datasets.load import dataset_kinds
from whyclip.errors import OptionError
from whyclip.finetuning.small_clip import small_clip
from whyclip.stats.intervals import Interval
from whyclip.studies.claims import is_above
from whyclip.studies.experiments import (
    EXPERIMENTS,
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
    get_experiment,
)
from whyclip.studies.experiments.run import reproduce

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
NAMES = (
    "composition", "equality", "finetuning", "layers", "linearity", "localisation",
    "not-the-model", "probing", "shortcut", "table1",
)  # fmt: skip


def test_every_file_of_an_experiment_is_found() -> None:
    assert tuple(sorted(EXPERIMENTS)) == NAMES


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_the_command_for_real_data_is_one(experiment: Experiment) -> None:
    _, command, name, *rest = shlex.split(experiment.on_real_data)
    assert (command, name) == ("reproduce", experiment.name)
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    known = {flag for parameter in COMMANDS["reproduce"].params for flag in parameter.opts}
    assert {flag for flag, _ in pairs} <= known
    given = dict(pairs)
    if experiment.defaults.trains:
        assert not {"--data", "--model"} & set(given)
        options = [value.split("=")[0] for flag, value in pairs if flag in ("-o", "--option")]
        assert set(options) <= set(experiment.options)
        return
    assert given["--data"].split(":")[0] in dataset_kinds()
    assert given["--model"].startswith("openclip:")


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_it_names_claim_source_and_cost(experiment: Experiment) -> None:
    assert experiment.claim.endswith(".")
    assert "arXiv" in experiment.source
    seconds = float(experiment.cost.removesuffix(" s"))
    # Of one core. A verdict needs 20 images; 20 minutes of two cores where a model is trained.
    most = 2400 if experiment.defaults.trains else 400
    assert experiment.defaults.limit * seconds <= most
    assert experiment.defaults.data.startswith("scenes:")


def planted(setting: ExperimentInput, *, times: int = 2) -> ExperimentResult:
    """Say how many samples there are."""
    seen = sum(1 for _ in setting.samples("looking"))
    seen = sum(1 for _ in setting.samples("looking"))
    count = 2 * seen * times
    looks = Interval(count, 23, 25, count, count)
    finding = is_above("All were seen", "number of looks", looks, 0, digits=0)
    return ExperimentResult([finding], ["A paragraph."], {"times": str(times)})


EXPERIMENT = Experiment(
    name="planted",
    title="Planted",
    claim="Everything is looked at.",
    source="this test",
    run=planted,
    defaults=get_experiment("equality").defaults,
    cost="0 s",
    on_real_data="whyclip reproduce planted --data imagenet:FOLDER",
)


def test_a_report_has_claim_verdict_and_facts(setting: ExperimentInput, tmp_path: Path) -> None:
    report = reproduce(EXPERIMENT, data="scenes:9", model=setting.model, limit=4, seed=1, times=3)
    page = report.save(tmp_path / "out")
    text = (page.parent / "report.md").read_text(encoding="utf-8")
    for part in (
        "Everything is looked at.",
        "Source: this test.",
        "All were seen: **pass**. The number of looks is 24 [23, 25], n = 24; above 0.",
        "- samples: 4",
        "- seed: 1",
        "- dataset: scenes:9",
        "- times: 3",
        f"- model: {setting.model.name}",
        "--data scenes:9 --model CLIP --limit 4 --seed 1 --option times=3",
    ):
        assert part in text, part
    assert "took" in report.facts
    assert verdicts(report.report()).startswith("- All were seen"), "the documentation quotes them"
    [kept] = json.loads((page.parent / "findings.json").read_text(encoding="utf-8"))["findings"]
    assert (kept["claim"]["title"], kept["verdict"]) == ("All were seen", "pass")
    assert kept["value"] == [24, 23, 25, 24, 24]


def test_limit_0_is_all_and_defaults_are_the_experiments_own(setting: ExperimentInput) -> None:
    report = reproduce(EXPERIMENT, data="scenes:7", model=setting.model, limit=0)
    assert report.facts["samples"] == "7"
    report = reproduce(EXPERIMENT, model=setting.model)
    assert report.facts["samples"] == str(EXPERIMENT.defaults.limit)


def test_what_is_not_known_is_refused(setting: ExperimentInput) -> None:
    with pytest.raises(OptionError, match="did you mean equality"):
        get_experiment("equalty")
    with pytest.raises(OptionError, match="unknown option of planted 'tmes'; did you mean times"):
        reproduce(EXPERIMENT, model=setting.model, tmes=3)
    with pytest.raises(OptionError, match="limit=-1"):
        reproduce(EXPERIMENT, model=setting.model, limit=-1)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name in NAMES if not get_experiment(name).defaults.trains]
)
def test_every_experiment_runs_on_what_comes_with_whyclip(name: str, tmp_path: Path) -> None:
    report = reproduce(get_experiment(name), limit=2)
    text = (report.save(tmp_path).parent / "report.md").read_text(encoding="utf-8")
    assert "- model: mini" in text
    assert re.search(r"\*\*(pass|fail|inconclusive|not applicable)\*\*", text)
    assert list(tmp_path.glob("*.csv"))
    assert list(tmp_path.glob("*.png"))


def test_the_seed_draws_other_samples_and_the_same_again(setting: ExperimentInput) -> None:
    def numbers(seed: int) -> list[str]:
        seen: list[str] = []

        def run(setting: ExperimentInput) -> ExperimentResult:
            seen.extend(sample.id for sample in setting.samples("looking"))
            return ExperimentResult([], [], {})

        reproduce(replace(EXPERIMENT, run=run), model=setting.model, limit=5, seed=seed)
        return seen

    assert numbers(0) == numbers(0) != numbers(1)


def test_an_experiment_that_trains_its_own_model_takes_no_other(setting: ExperimentInput) -> None:
    seen: list[ExperimentInput] = []

    def run(setting: ExperimentInput) -> ExperimentResult:
        seen.append(setting)
        return ExperimentResult([], [], {})

    experiment = replace(EXPERIMENT, run=run, defaults=Defaults(limit=3, model=""))
    report = reproduce(experiment, seed=2, device="cpu")
    assert "--model" not in report.command
    assert "--data" not in report.command
    assert "--limit 3 --seed 2" in report.command
    assert report.facts["model"] == "small-clip"
    assert len(seen[0].dataset) == 3
    module = seen[0].model.module
    assert module is not None
    assert not torch.equal(
        module.state_dict()["token_embedding.weight"],
        small_clip(3).module.state_dict()["token_embedding.weight"],  # type: ignore[union-attr]
    )
    for given in ({"model": "mini"}, {"model": setting.model}, {"data": "scenes:9"}):
        with pytest.raises(OptionError, match="'planted' trains its own model on its own scenes"):
            reproduce(experiment, **given)  # type: ignore[arg-type]
