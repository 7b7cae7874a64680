"""Unlearn a shortcut by penalising relevance, or by penalising the effect of removal.

Eight of 32 concepts carry a badge in 95 % of their training images. Each badge has its own colour,
so that it identifies the concept. A model is trained on captions alone, then fine-tuned with badges
still in the data and 200 images with marked badges.

The bounds of the verdicts were written before the first full run:

- *Before fine-tuning, the model uses the badge*: its accuracy with the badge is more than 10
  points above its accuracy without. Otherwise the other verdicts are meaningless.
- *The relevance penalty silences the map*: the share of relevance on the badge falls below a
  third of the share before fine-tuning.
- *With the silenced map the model goes on using the badge*: the penalty's gain in accuracy
  without the badge is less than half of the removal loss's gain, both over the global loss alone.
- *The removal loss lowers the reliance on the badge by at least half*: mean of S(with badge) −
  S(drawn without badge), after and before.
- *The removal loss raises the accuracy without the badge*: over the global loss alone.
- *Other concepts lose at most 2 points*: against the global loss alone, for equal steps.

A claim holds if the whole 95 % interval over test scenes lies on its side of the bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from whyclip.errors import OptionError
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.experiments.shortcut_page import (
    arms_table,
    choose,
    runs_table,
    scatter,
    strip,
    verdicts,
)
from whyclip.studies.experiments.shortcut_study import SWEPT, Run, Setup, draw_scenes, run_study


def shortcut(
    setting: ExperimentInput,
    *,
    train_scenes: int = 6000,
    train_steps: int = 1000,
    steps: int = 100,
    seeds: int = 1,
    weights: str = "10",
    processes: int = 1,
) -> ExperimentResult:
    """Train models on badged scenes, fine-tune them in each arm, and measure the reliance.

    Args:
        setting: provides the number of test scenes, the seed and the device.
        train_scenes: number of scenes to train on.
        train_steps: steps from scratch.
        steps: steps of each fine-tuning.
        seeds: number of models trained from scratch.
        weights: candidate weights of the shortcut losses, separated by commas.
        processes: number of seeds to run in parallel.
    """
    setup = setup_of(
        setting,
        train_scenes=train_scenes,
        train_steps=train_steps,
        steps=steps,
        seeds=seeds,
        weights=weights,
    )
    return findings(setting, setup, run_study(setup, processes))


def setup_of(
    setting: ExperimentInput,
    *,
    train_scenes: int,
    train_steps: int,
    steps: int,
    seeds: int,
    weights: str,
) -> Setup:
    """Validate the options and return the setup.

    Raises:
        OptionError: a number below 1, or weights that are not numbers above 0.
    """
    numbers = {
        "train_scenes": train_scenes, "train_steps": train_steps, "steps": steps, "seeds": seeds,
    }  # fmt: skip
    for name, number in numbers.items():
        if number < 1:
            raise OptionError(f"{name}={number}; give 1 or more")
    return Setup(
        train_scenes=train_scenes,
        test_scenes=len(setting.dataset),
        train_steps=train_steps,
        steps=steps,
        weights=_weights(weights),
        seeds=tuple(range(setting.seed, setting.seed + seeds)),
        scenes_seed=setting.seed,
        device=str(setting.model.image.device),
    )


def _weights(text: str) -> tuple[float, ...]:
    try:
        values = sorted({float(part) for part in text.split(",")})
    except ValueError:
        values = []
    if not values or not all(math.isfinite(value) and value > 0 for value in values):
        raise OptionError(f"weights={text!r:.60}; give numbers above 0, for example 1,3,10")
    return tuple(values)


def findings(setting: ExperimentInput, setup: Setup, runs: Sequence[Run]) -> ExperimentResult:
    """Return verdicts, tables and figures of finished runs."""
    chosen = choose(runs)
    test = draw_scenes(setting.model, setup.test_scenes, "test", setup.scenes_seed)
    tried = ", ".join(f"{weight:g}" for weight in setup.weights)
    method = (
        "## How it was measured\n\n"
        f"Each model was trained from scratch for {setup.train_steps} steps on "
        f"{setup.train_scenes} badged scenes, and fine-tuned for {setup.steps} steps. "
        f"Each step has {setup.batch} fresh images, badges included, and "
        f"{setup.marked_per_step} of {setup.marked} marked images. "
        f"The weights of {', '.join(SWEPT)} are chosen among {tried} on validation scenes: the "
        "weight with the best accuracy without the badge among those with at most 2 points of loss "
        "for other concepts."
    )
    return ExperimentResult(
        verdicts(chosen),
        [arms_table(chosen), scatter(runs, chosen), strip(test, chosen), method, runs_table(runs)],
        {"seeds": str(len(setup.seeds)), "device": setup.device},
    )


EXPERIMENT = Experiment(
    name="shortcut",
    title="Unlearn a shortcut",
    claim=(
        "Training a model to have no relevance on marked pixels does not stop it from using them; "
        "training it to be invariant to the removal of these pixels does."
    ),
    source=(
        "the relevance penalty: Ross et al., IJCAI 2017, arXiv 1703.03717; the removal loss and "
        "the experiment: whyclip"
    ),
    run=shortcut,
    defaults=Defaults(limit=1000, model=""),
    cost="2.4 s",
    on_real_data=(
        "whyclip reproduce shortcut --device cuda --option train_scenes=30000 "
        "--option train_steps=3000 --option steps=300 --option seeds=3 --option weights=1,5,20"
    ),
)
