"""The evidence of the audit's checks on one model, with every value of every image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from whyclip.datasets.dataset import Dataset, Sample, Subset
from whyclip.models import ModelView
from whyclip.studies.audit.cases import AuditSetup
from whyclip.studies.audit.check import Check
from whyclip.studies.audit.checks import get_check
from whyclip.studies.audit.measure import Work, gather
from whyclip.studies.audit.run import PATCHES, drawn_samples, what_lacks
from whyclip.studies.benchmark.influence import pseudo_values
from whyclip.studies.benchmark.record import Outcome
from whyclip.studies.candidates import prompt_candidates
from whyclip.variant import Variant


def outcomes_of(
    model: ModelView,
    dataset: Dataset,
    plans: Mapping[str, Variant],
    checks: Sequence[str],
    seed: int,
) -> Iterator[Outcome]:
    """Measure checks for every method and side.

    Args:
        model: model to explain.
        dataset: dataset, of which all samples are used.
        plans: methods with their options, by label.
        checks: names of checks of the audit.
        seed: random seed of all draws.

    Yields:
        The outcomes that could be measured.
    """
    chosen: list[Check] = [get_check(name) for name in checks]
    drawn = drawn_samples(Subset(dataset, len(dataset), seed))
    samples = [each.sample for each in drawn if isinstance(each.sample, Sample)]
    candidates = prompt_candidates(model, dataset, samples)
    asks = frozenset(ask for check in chosen for ask in check.asks)
    # These checks do not hide patches of an image.
    work = Work(asks, what_lacks(model, candidates, samples), 1, PATCHES, seed)
    evidence = gather(AuditSetup(model, plans, candidates), drawn, work, None).evidence
    for check in chosen:
        for name, plan in plans.items():
            for side in check.sides:
                if side not in plan.sides:
                    continue
                measured = check.measure(evidence, name, side)
                if measured.values is not None:
                    value, images = pseudo_values(measured.values)
                    yield Outcome(check.name, name, side, value, images)
