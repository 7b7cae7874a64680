"""Run an experiment by name."""

from __future__ import annotations

import time
import warnings
from typing import Any

from whyclip.ambient import in_plain_state
from whyclip.datasets import open_dataset
from whyclip.errors import OptionError, WhyclipWarning
from whyclip.finetuning.small_clip import small_clip
from whyclip.models import ModelView, load
from whyclip.models.load import device_for
from whyclip.options import show, validate
from whyclip.report import command_line, run_facts
from whyclip.studies.experiments import get_experiment
from whyclip.studies.experiments.experiment import Experiment, ExperimentInput
from whyclip.studies.experiments.reproduction import Reproduction


@in_plain_state
def reproduce(
    experiment: Experiment | str,
    model: str | ModelView | None = None,
    data: str | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
    device: str | None = None,
    **options: Any,
) -> Reproduction:
    """Test a published claim and report the result.

    Args:
        experiment: name of the experiment, as listed by ``whyclip reproduce``.
        model: specification for :func:`whyclip.load`, or a loaded model; default: the experiment's
            model. An experiment that trains its own model accepts neither model nor data.
        data: specification for :func:`whyclip.open_dataset`; default: the experiment's data.
        limit: number of samples, drawn at random; 0 for all samples.
        seed: random seed of that draw, and of the experiment.
        device: device of the model.
        **options: the experiment's options.

    Raises:
        OptionError: the experiment or the option is unknown.
        InputError: model or data cannot be used.
    """
    if isinstance(experiment, str):
        experiment = get_experiment(experiment)
    chosen = validate(experiment.name, experiment.run, options, noun="experiment")
    usual = experiment.defaults
    spec = usual.data if data is None else data
    number = usual.limit if limit is None else limit
    if number < 0:
        raise OptionError(f"limit={number}; give the number of samples, or 0 for all")
    if usual.trains:
        _check_own(experiment, data=data, model=model)
    dataset = open_dataset(spec, limit=number or None, seed=seed)
    chosen_model = usual.model if model is None else model
    if isinstance(chosen_model, ModelView):
        view = chosen_model
    elif usual.trains:
        view = small_clip(seed, device_for(device))
    else:
        view = load(chosen_model, device)
    begun = time.perf_counter()
    with warnings.catch_warnings():
        # About one scene in a hundred is out of distribution; a warning for each would be noise.
        warnings.simplefilter("ignore", WhyclipWarning)
        result = experiment.run(ExperimentInput(view, dataset, seed, spec), **chosen)
    facts = run_facts(
        model=view.name,
        dataset=spec,
        samples=len(dataset),
        seed=seed,
        seconds=time.perf_counter() - begun,
        **result.facts,
    )
    named = chosen_model if isinstance(chosen_model, str) else view.name
    pairs = [
        f"{name}={show(value)}"
        for name, value in chosen.items()
        if value != experiment.options[name]
    ]
    inputs = {} if usual.trains else {"--data": spec, "--model": named}
    given = {**inputs, "--limit": number, "--seed": seed, "--option": pairs}
    command = command_line(f"reproduce {experiment.name}", given)
    return Reproduction(experiment, result, facts, command)


def _check_own(experiment: Experiment, **given: Any) -> None:
    """Reject a model or data for an experiment that trains its own model on generated scenes."""
    for name, value in given.items():
        if value is not None:
            shown = value.name if isinstance(value, ModelView) else value
            raise OptionError(
                f"experiment {experiment.name!r} trains its own model on its own scenes; "
                f"remove --{name} {str(shown)!r:.40}"
            )
