"""Gather the evidence of an audit, sample by sample; what an earlier run measured is kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whyclip.datasets.annotation_files import digest
from whyclip.datasets.dataset import Sample
from whyclip.errors import InputError, OptionError, WhyclipWarning
from whyclip.progress import track
from whyclip.studies.audit.cases import AuditSetup, Case, explained_case, forward_case
from whyclip.studies.audit.cells import add_cells, scores_of
from whyclip.studies.audit.curves import measure_curves
from whyclip.studies.audit.evidence import Ask, Evidence, SampleEvidence
from whyclip.studies.audit.shuffled import Kept, measure_shuffled
from whyclip.studies.audit.spatial import read_with
from whyclip.studies.audit.store import Store
from whyclip.studies.effects import (
    AT_ONCE,
    BLURRED,
    MASKED,
    blurred_patch_scores,
    chosen_patches,
    hidden_patch_scores,
    word_drops,
)
from whyclip.studies.heads_and_geometry import obstacle
from whyclip.studies.measurements import Measurements
from whyclip.studies.scoring import Encoder, TextDirections


@dataclass(frozen=True)
class Asked:
    """A sample of an audit.

    Attributes:
        key: of the sample as it is now, see :func:`whyclip.datasets.dataset.keys_of`.
        sample: the sample; an error if it cannot be described.
        name: of the sample, for messages.
    """

    key: str
    sample: Sample | InputError
    name: str


@dataclass(frozen=True)
class Work:
    """What is measured of each sample.

    Attributes:
        asks: beside plain explanations.
        without: what the data and the model do not have.
        edited: number of samples that are edited.
        patches: number of patches that are removed, each alone.
        seed: of all draws.
    """

    asks: frozenset[Ask]
    without: Mapping[str, str]
    edited: int
    patches: int
    seed: int


@dataclass
class Gathered:
    """Everything that was measured.

    Attributes:
        evidence: of the samples.
        rows: the 2 x 2 of heads and geometry; empty where the model has no heads to join.
        same_input: whether both geometries showed the model the same pixels.
        failed: name and error of each sample that failed.
    """

    evidence: Evidence
    rows: Measurements
    same_input: bool
    failed: tuple[tuple[str, str], ...]


def gather(
    setup: AuditSetup, samples: Sequence[Asked], work: Work, store: Store | None
) -> Gathered:
    """Measure all samples."""
    rows, same_input = Measurements(), True
    found: list[SampleEvidence] = []
    kept: list[Kept] = []
    failed: list[tuple[str, str]] = []
    # Samples are in their dataset's order, which may be that of its classes.
    order = np.random.default_rng((work.seed, 6)).permutation(len(samples))
    chosen = set(order[: work.edited].tolist())

    def told() -> str:
        return f"auditing ({len(failed)} failed)" if failed else "auditing"

    for index, asked in enumerate(track(samples, told)):
        key = digest([asked.key, index, index in chosen])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", WhyclipWarning)
                one, same = _one(setup, asked, index, index in chosen, work, rows, store, key)
        except OptionError:
            raise
        except InputError as error:
            failed.append((asked.name, " ".join(str(error).split())))
            continue
        same_input = same_input and same
        found.append(one.evidence)
        if index in chosen:
            kept.append(one)
    if not found:
        name, first = failed[0]
        raise InputError(f"none of the {len(failed)} samples can be audited; {name!r:.80}: {first}")
    stages: tuple[str, ...] = ()
    if "shuffled" in work.asks and "shuffled" not in work.without:
        stages = measure_shuffled(setup, kept, work.seed, store)
    methods = {name: plan.method for name, plan in setup.plans.items()}
    evidence = Evidence(tuple(found), methods, stages, work.without)
    return Gathered(evidence, rows, same_input, tuple(failed))


def _one(
    setup: AuditSetup,
    asked: Asked,
    index: int,
    edited: bool,
    work: Work,
    rows: Measurements,
    store: Store | None,
    key: str,
) -> tuple[Kept, bool]:
    """Measure one sample, or read what was measured of it.

    Returns:
        The sample, and whether both geometries showed the model the same pixels.
    """
    sample = asked.sample
    if isinstance(sample, InputError):
        raise sample
    before = store.get(key) if store else None
    if before is not None:
        evidence, cells, same_input = before
        add_cells(rows, evidence, cells)

        def again() -> Case:
            case = forward_case(setup, sample, index, evidence)
            _forget(case)
            return case.light()

        return Kept(key, evidence, again), same_input
    case = explained_case(setup, sample, index)
    if "spatial" in work.asks and "attention" not in work.without:
        _read_with_own_weights(setup, case)
    if edited:
        _edit(setup, case, work)
    light = case.light()
    cells, same_input = ([], True) if obstacle(setup.model) else scores_of(setup, case)
    add_cells(rows, case.evidence, cells)
    _forget(case)
    if store:
        store.put(key, (case.evidence, cells, same_input))
    return Kept(key, case.evidence, (lambda: light) if edited else None), same_input


def _forget(case: Case) -> None:
    """Let go of the graphs of the re-runs, which are large and are not asked for again."""
    case.forward_pass.forget()
    for forward_pass in case.encoded.forward_passes:
        forward_pass.forget()


def _edit(setup: AuditSetup, case: Case, work: Work) -> None:
    evidence = case.evidence
    # Of this sample alone, so that no batch of texts depends on the samples before.
    texts = TextDirections(Encoder(setup.model, batch_size=AT_ONCE))
    if "patches" in work.asks:
        count = int(case.forward_pass.content_mask[0].sum())
        evidence.patches = chosen_patches(count, work.patches, work.seed)
        if "attention" not in work.without:
            evidence.score_drops[MASKED] = evidence.scores - hidden_patch_scores(
                case.forward_pass, evidence.patches
            )
        evidence.score_drops[BLURRED] = evidence.scores - blurred_patch_scores(
            case.forward_pass, evidence.patches
        )
    if "words" in work.asks and setup.model.classes is None:
        tokens = case.encoded.tokens
        assert tokens is not None, "prompts are texts"
        image, scores = case.image.directions[0].cpu(), evidence.scores.tolist()
        drops = word_drops(image, evidence.prompts, scores, tokens, texts)
        evidence.word_drops = tuple(drops)
    if "curves" in work.asks:
        measure_curves(case, texts, work.seed)


def _read_with_own_weights(setup: AuditSetup, case: Case) -> None:
    for name, plan in setup.plans.items():
        if "image" in plan.sides:
            embedding = read_with(case.forward_pass, plan)
            if embedding is not None:
                among = setup.candidates.targets.score(embedding)[0].cpu()
                case.evidence.methods[name].spatial = among
