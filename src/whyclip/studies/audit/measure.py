"""Gather the evidence of an audit by sample, reusing measurements of earlier runs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from whyclip.datasets.annotation_files import digest
from whyclip.datasets.dataset import Sample
from whyclip.errors import InputError, WhyclipWarning
from whyclip.progress import track
from whyclip.studies.audit.absent import measure_absent
from whyclip.studies.audit.cases import AuditCase, AuditSetup, explained_case
from whyclip.studies.audit.cells import Scores, add_cells, scores_of
from whyclip.studies.audit.curves import image_curves, measure_word_curves
from whyclip.studies.audit.evidence import Ask, Evidence, SampleEvidence
from whyclip.studies.audit.heads import measure_exchanged_heads
from whyclip.studies.audit.inpainted import INPAINTED, inpainted_images
from whyclip.studies.audit.interventions import (
    DRAWN,
    changed_images,
    measure_exchanges,
    note_masses,
)
from whyclip.studies.audit.shuffled import Kept, measure_shuffled
from whyclip.studies.audit.spatial import read_with
from whyclip.studies.audit.store import Store
from whyclip.studies.cases import Case
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
from whyclip.studies.measure import Entry, Loop, Requests
from whyclip.studies.measurements import Measurements
from whyclip.studies.scoring import Encoder, TextDirections


@dataclass(frozen=True)
class DrawnSample:
    """A sample of an audit.

    Attributes:
        key: key of the sample's current content, see :func:`whyclip.datasets.dataset.keys_of`.
        sample: the sample, or an error if it cannot be read.
        name: name of the sample, for messages.
    """

    key: str
    sample: Sample | InputError
    name: str


@dataclass(frozen=True)
class Work:
    """Measurements for each sample.

    Attributes:
        asks: measurements in addition to explanations.
        without: missing requirements of the data and the model.
        edited: number of edited samples.
        patches: number of patches that are removed, one at a time.
        seed: random seed of all draws.
    """

    asks: frozenset[Ask]
    without: Mapping[str, str]
    edited: int
    patches: int
    seed: int


@dataclass
class Gathered:
    """All measurements.

    Attributes:
        evidence: evidence of the samples.
        rows: the 2 x 2 table of heads and geometry; empty if heads cannot be merged.
        same_input: whether the input is the same for both geometries.
        failed: name and error of each failed sample.
    """

    evidence: Evidence
    rows: Measurements
    same_input: bool
    failed: tuple[tuple[str, str], ...]


@dataclass
class SampleRecord:
    """Measurements of one sample, or its error.

    Attributes:
        kept: the sample for the stages of weight randomisation; None if it failed.
        cells: its scores by the computations of heads and geometry.
        same_input: whether the input is the same for both geometries.
        stored: whether an earlier run measured it.
        error: the error of a failed sample.
    """

    kept: Kept | None
    cells: list[Scores]
    same_input: bool
    stored: bool = False
    error: str = ""


@dataclass(frozen=True)
class Gathering:
    """The work of an audit with everything needed to measure a sample."""

    setup: AuditSetup
    work: Work
    store: Store | None
    encoder: Encoder

    def measure(self, key: str, index: int, edited: bool, sample: Sample) -> Requests[SampleRecord]:
        """Measure one sample, or read its stored measurements."""
        before = self.store.get(key) if self.store else None
        if before is not None:
            evidence, cells, same_input = before
            kept = Kept(key, evidence, partial(self._light_case, sample) if edited else None)
            return SampleRecord(kept, cells, same_input, stored=True)
        case, cells, same_input = self._explained(sample, index, edited)
        if edited and "curves" in self.work.asks:
            yield from image_curves(case, self.work.seed)
        kinds = [kind for kind in DRAWN if kind in self.work.asks]
        if kinds and sample.interventions is not None:
            yield from changed_images(case, kinds)
        if INPAINTED in self.work.asks and sample.masks is not None:
            yield from inpainted_images(case)
        light = case.light()
        kept = Kept(key, case.evidence, (lambda: light) if edited else None)
        return SampleRecord(kept, cells, same_input)

    def _explained(
        self, sample: Sample, index: int, edited: bool
    ) -> tuple[AuditCase, list[Scores], bool]:
        """Explain one sample and measure everything that needs no perturbed image."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WhyclipWarning)
            case = explained_case(self.setup, sample, index)
            if "spatial" in self.work.asks and "attention" not in self.work.without:
                self._read_with_own_weights(case)
            if edited:
                self._edit(case)
            self._note_masses(case)
            if sample.interventions is not None:
                self._intervene(case)
            if "absent" in self.work.asks and self.setup.model.classes is None:
                measure_absent(self.setup, case, TextDirections(self.encoder))
            cells: list[Scores] = []
            same_input = True
            if not obstacle(self.setup.model):
                cells, same_input = scores_of(self.setup, case)
        case.release_graphs()
        return case, cells, same_input

    def _light_case(self, sample: Sample) -> Case:
        """The forward passes of a sample that an earlier run measured."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", WhyclipWarning)
            return self.setup.cases.case(sample, self.setup.prompts).light()

    def _edit(self, case: AuditCase) -> None:
        evidence, work = case.evidence, self.work
        # New for each sample, so that text batches do not depend on earlier samples.
        texts = TextDirections(self.encoder)
        if "heads" in work.asks:
            measure_exchanged_heads(self.setup, case)
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
        has_texts = self.setup.model.classes is None
        if "words" in work.asks and has_texts:
            tokens = case.encoded.tokens
            assert tokens is not None, "prompts have tokens"
            image, scores = case.image_target.directions[0].cpu(), evidence.scores.tolist()
            drops = word_drops(image, evidence.prompts, scores, tokens, texts)
            evidence.word_drops = tuple(drops)
        if "curves" in work.asks and has_texts:
            measure_word_curves(case, texts, work.seed)

    def _note_masses(self, case: AuditCase) -> None:
        asks, changeable = self.work.asks, case.sample.interventions is not None
        if INPAINTED in asks or (changeable and asks & {*DRAWN, "exchanges"}):
            note_masses(case)

    def _intervene(self, case: AuditCase) -> None:
        if "exchanges" in self.work.asks and self.setup.model.classes is None:
            measure_exchanges(self.setup, case, TextDirections(self.encoder))

    def _read_with_own_weights(self, case: AuditCase) -> None:
        for label, variant in self.setup.variants.items():
            if "image" in variant.sides:
                embedding = read_with(case.forward_pass, variant)
                if embedding is not None:
                    among = self.setup.candidates.targets.score(embedding)[0].cpu()
                    case.evidence.methods[label].spatial = among


def gather(
    setup: AuditSetup, samples: Sequence[DrawnSample], work: Work, store: Store | None
) -> Gathered:
    """Measure all samples."""
    rows, same_input = Measurements(), True
    evidence: list[SampleEvidence] = []
    edited: list[Kept] = []
    failed: list[tuple[str, str]] = []
    # Samples are in the order of the dataset, which may be sorted by class.
    order = np.random.default_rng((work.seed, 6)).permutation(len(samples))
    chosen = set(order[: work.edited].tolist())
    gathering = Gathering(setup, work, store, Encoder(setup.model, batch_size=AT_ONCE))

    def entries() -> Iterator[Entry[SampleRecord]]:
        for index, sample in enumerate(samples):
            key = digest([sample.key, index, index in chosen])
            yield Entry(
                sample.name,
                sample.sample,
                partial(gathering.measure, key, index, index in chosen),
                lambda error: SampleRecord(None, [], True, error=error),
            )

    def title() -> str:
        return f"auditing ({len(failed)} failed)" if failed else "auditing"

    records = Loop[SampleRecord](gathering.encoder).records(entries())
    for sample, record in zip(samples, track(records, title, len(samples)), strict=True):
        if record.kept is None:
            failed.append((sample.name, record.error))
            continue
        kept = record.kept
        add_cells(rows, kept.evidence, record.cells)
        if store and not record.stored:
            store.put(kept.key, (kept.evidence, record.cells, record.same_input))
        same_input = same_input and record.same_input
        evidence.append(kept.evidence)
        if kept.case is not None:
            edited.append(kept)
    if not evidence:
        name, first = failed[0]
        raise InputError(f"none of the {len(failed)} samples can be audited; {name!r:.80}: {first}")
    stages: tuple[str, ...] = ()
    if "shuffled" in work.asks and "shuffled" not in work.without:
        stages = measure_shuffled(setup, edited, work.seed, store)
    methods = {label: variant.method for label, variant in setup.variants.items()}
    everything = Evidence(tuple(evidence), methods, stages, work.without)
    return Gathered(everything, rows, same_input, tuple(failed))
