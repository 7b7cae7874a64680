"""Gather the evidence of an audit, sample by sample; what an earlier run measured is kept."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whyclip.audit.changes import TwoByTwo
from whyclip.audit.curves import measure_curves
from whyclip.audit.evidence import Ask, Evidence, SampleEvidence
from whyclip.audit.look import Auditor, Seen, look, prepare
from whyclip.audit.removal import (
    AT_ONCE,
    BLURRED,
    MASKED,
    Texts,
    blurred_scores,
    chosen_patches,
    masked_scores,
    words_removed,
)
from whyclip.audit.shuffled import Kept, measure_shuffled
from whyclip.audit.spatial import read_with
from whyclip.audit.store import Store
from whyclip.datasets.annotation_files import digest
from whyclip.datasets.dataset import Sample
from whyclip.errors import InputError, OptionError, WhyclipWarning
from whyclip.evaluation.encode import Encoder
from whyclip.progress import track


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


def gather(
    auditor: Auditor, samples: Sequence[Asked], work: Work, store: Store | None
) -> tuple[Evidence, TwoByTwo, tuple[tuple[str, str], ...]]:
    """Measure all samples.

    Returns:
        The evidence, the 2 x 2, and name and error of each sample that failed.
    """
    two_by_two = TwoByTwo(auditor)
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
                one = _one(auditor, asked, index, index in chosen, work, two_by_two, store, key)
        except OptionError:
            raise
        except InputError as error:
            failed.append((asked.name, " ".join(str(error).split())))
            continue
        found.append(one.evidence)
        if index in chosen:
            kept.append(one)
    if not found:
        name, first = failed[0]
        raise InputError(f"none of the {len(failed)} samples can be audited; {name!r:.80}: {first}")
    stages: tuple[str, ...] = ()
    if "shuffled" in work.asks and "shuffled" not in work.without:
        stages = measure_shuffled(auditor, kept, work.seed, store)
    methods = {name: plan.method for name, plan in auditor.plans.items()}
    return Evidence(tuple(found), methods, stages, work.without), two_by_two, tuple(failed)


def _one(
    auditor: Auditor,
    asked: Asked,
    index: int,
    edited: bool,
    work: Work,
    two_by_two: TwoByTwo,
    store: Store | None,
    key: str,
) -> Kept:
    """Measure one sample, or read what was measured of it."""
    sample = asked.sample
    if isinstance(sample, InputError):
        raise sample
    before = store.get(key) if store else None
    if before is not None:
        evidence, cells, same_input = before
        two_by_two.put(evidence, cells, same_input)

        def again() -> Seen:
            seen = prepare(auditor, sample, index, evidence)
            _forget(seen)
            return seen.light()

        return Kept(key, evidence, again)
    seen = look(auditor, sample, index)
    if "spatial" in work.asks and "attention" not in work.without:
        _read_with_own_weights(auditor, seen)
    if edited:
        _edit(auditor, seen, work)
    light = seen.light()
    cells, same_input = ([], True) if two_by_two.why_not() else two_by_two.read(seen)
    two_by_two.put(seen.evidence, cells, same_input)
    _forget(seen)
    if store:
        store.put(key, (seen.evidence, cells, same_input))
    return Kept(key, seen.evidence, lambda: light) if edited else Kept(key, seen.evidence, None)


def _forget(seen: Seen) -> None:
    """Let go of the graphs of the re-runs, which are large and are not asked for again."""
    seen.forward_pass.forget()
    for forward_pass in seen.encoded.forward_passes:
        forward_pass.forget()


def _edit(auditor: Auditor, seen: Seen, work: Work) -> None:
    evidence = seen.evidence
    # Of this sample alone, so that no batch of texts depends on the samples before.
    texts = Texts(Encoder(auditor.model, batch_size=AT_ONCE))
    if "patches" in work.asks:
        count = int(seen.forward_pass.content_mask[0].sum())
        evidence.patches = chosen_patches(count, work.patches, work.seed)
        if "attention" not in work.without:
            evidence.removed[MASKED] = evidence.scores - masked_scores(seen, evidence.patches)
        evidence.removed[BLURRED] = evidence.scores - blurred_scores(seen, evidence.patches)
    if "words" in work.asks and auditor.model.classes is None:
        evidence.words_removed = tuple(words_removed(seen, texts))
    if "curves" in work.asks:
        measure_curves(seen, texts, work.seed)


def _read_with_own_weights(auditor: Auditor, seen: Seen) -> None:
    for name, plan in auditor.plans.items():
        if "image" in plan.sides:
            embedding = read_with(seen.forward_pass, plan)
            if embedding is not None:
                among = auditor.pool.targets.score(embedding)[0].cpu()
                seen.evidence.methods[name].spatial = among
