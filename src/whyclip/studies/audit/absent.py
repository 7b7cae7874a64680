"""Prompts in which a class that is absent from the image replaces a noun."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from whyclip.datasets.dataset import Dataset, Sample
from whyclip.inputs.words import words_of
from whyclip.scenes.captions import phrase
from whyclip.studies.audit.cases import AuditCase, AuditSetup
from whyclip.studies.audit.evidence import Exchange
from whyclip.studies.audit.interventions import words_by_method
from whyclip.studies.scoring import TextDirections

# Limits the labels per sample, because panoptic images have a dozen.
MOST_LABELS = 3
# A present noun alone; the present and the absent noun of a pair.
SINGLE, PRESENT, ABSENT = "single", "present", "absent"


@dataclass(frozen=True)
class Swap:
    """A prompt with one noun replaced.

    Attributes:
        kind: replaced noun, one of the kinds above.
        prompt: the changed prompt.
        words: start and end of each word of that noun in the original prompt.
    """

    kind: str
    prompt: str
    words: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class NounProbe:
    """A prompt for an image, with its replacements."""

    prompt: str
    swaps: tuple[Swap, ...]


class AbsentNouns:
    """Generator of prompts with the classes of a dataset.

    A class counts as absent if it is neither a label nor a mask of the image. Photographs can show
    objects that are not annotated.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        """Take the classes of a dataset; without labels there are no probes."""
        self.dataset, self.seed = dataset, seed

    def probes(self, sample: Sample) -> tuple[NounProbe, ...]:
        """Write the class's prompt and a pair with an absent class, for up to three labels.

        The order of the pair is random, so that the position of a noun is uninformative. Another
        absent class replaces each noun.
        """
        classes = set(self.dataset.classes)
        labels = [label for label in sample.labels if label in classes]
        rng = np.random.default_rng((self.seed, 7, *sample.id.encode()))
        taken = {self._name(label) for label in classes & {*labels, *(sample.masks or {})}}
        absent = sorted({name for name in self.dataset.names if name not in taken})
        if len(absent) < 2 or not labels:
            return ()
        chosen = rng.permutation(len(labels))[:MOST_LABELS]
        return tuple(
            probe for number in chosen for probe in self._probes_of(labels[number], absent, rng)
        )

    def _probes_of(
        self, label: str, absent: Sequence[str], rng: np.random.Generator
    ) -> Iterator[NounProbe]:
        name = self._name(label)
        other, *new = (absent[i] for i in rng.permutation(len(absent))[:2])
        [instead] = new
        label_of = dict(zip(self.dataset.names, self.dataset.classes, strict=True))

        def written(first: str, second: str = "") -> str | None:
            prompt = self.dataset.prompt_of(label_of[first])
            place = place_of(first, prompt)
            if place is None:
                return None
            joined = f" and {phrase(second)}" if second else ""
            return prompt[: place[1]] + joined + prompt[place[1] :]

        single, changed = written(name), written(instead)
        if single and changed:
            swap = Swap(SINGLE, changed, words_within(single, place_of(name, single)))
            yield NounProbe(single, (swap,))
        nouns = [(name, PRESENT), (other, ABSENT)]
        if rng.random() < 0.5:
            nouns.reverse()
        first, second = (noun for noun, _ in nouns)
        pair = written(first, second)
        texts = written(instead, second), written(first, instead)
        exchanged = [text for text in texts if text]
        if pair and len(exchanged) == len(nouns):
            # The second noun starts after the first, at the joining "and".
            at = place_of(first, written(first) or "")
            begin = pair.index(f" and {phrase(second)}", at[1] if at else 0)
            end = begin + len(f" and {phrase(second)}")
            places = (at, (end - len(second), end))
            yield NounProbe(
                pair,
                tuple(
                    Swap(kind, prompt, words_within(pair, place))
                    for (_, kind), prompt, place in zip(nouns, exchanged, places, strict=True)
                ),
            )

    def _name(self, label: str) -> str:
        return self.dataset.names[self.dataset.number_of(label)]


def place_of(name: str, prompt: str) -> tuple[int, int] | None:
    """Start and end of the last occurrence of a name as whole words; None if it does not occur.

    Example:
        >>> place_of("cat", "a cattle and a cat.")
        (15, 18)
    """
    places = [match.span() for match in re.finditer(rf"(?<!\w){re.escape(name)}(?!\w)", prompt)]
    return places[-1] if places else None


def words_within(prompt: str, place: tuple[int, int] | None) -> tuple[tuple[int, int], ...]:
    """Spans of the words of a prompt within a span of characters.

    Example:
        >>> words_within("a traffic light.", (2, 15))
        ((2, 9), (10, 15))
    """
    if place is None:
        return ()
    return tuple((a, b) for _, a, b in words_of(prompt) if place[0] <= a and b <= place[1])


def measure_absent(setup: AuditSetup, case: AuditCase, texts: TextDirections) -> None:
    """Explain the words of each probe, and score it with each noun replaced."""
    assert setup.nouns is not None, "the audit needs absent nouns"
    probes, evidence = setup.nouns.probes(case.sample), case.evidence
    if not probes:
        return
    image = case.image_target.directions[0].cpu()
    texts.encode([text for p in probes for text in (p.prompt, *(s.prompt for s in p.swaps))])
    exchanges = []
    for number, probe in enumerate(probes):
        prompts = [probe.prompt, *(swap.prompt for swap in probe.swaps)]
        before, *after = (texts.directions(prompts) @ image).tolist()
        exchanges += [
            Exchange(number, swap.kind, swap.words, before - score)
            for swap, score in zip(probe.swaps, after, strict=True)
        ]
    evidence.absent = tuple(exchanges)
    for label, words in words_by_method(setup, case, [probe.prompt for probe in probes]):
        evidence.methods[label].absent_words = words
