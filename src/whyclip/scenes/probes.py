"""Prompts whose decisive word depends on the image, not only on the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whyclip.scenes.captions import (
    _FRAMES,
    _JOINTS,
    RELATIONS,
    phrase,
    relation_of,
)
from whyclip.scenes.drawing import COLOURS
from whyclip.scenes.scene import Scene, SceneObject
from whyclip.scenes.wording import OPPOSITES, Noun, TextEdit, Wording

LAST_FRAME = _FRAMES[-1]
SECOND_JOINTS = _JOINTS


@dataclass(frozen=True)
class Probe:
    """A prompt about an image, with its changes.

    Attributes:
        prompt: the prompt.
        label: label of an object that is in the image and in the prompt.
        edits: the prompt with one change each.
    """

    prompt: str
    label: str
    edits: tuple[TextEdit, ...]


@dataclass
class Exchanges:
    """Random choice of other colours and other nouns.

    Attributes:
        absent: names of objects that are not in the image.
        rng: random generator.
    """

    absent: Sequence[str]
    rng: np.random.Generator

    def colour(self, taken: str | None) -> str:
        """Draw another colour."""
        return str(self.rng.choice([name for name in COLOURS if name != taken]))

    def noun(self, like: str, colour: str | None = None, but: str = "") -> str:
        """Draw the name of an absent object, with the same article if possible."""

        def article(name: str) -> str:
            words = phrase(name, colour)
            return words.removesuffix(phrase(name, colour, article=False))

        others = [name for name in self.absent if name not in {like, but}]
        same = [name for name in others if article(name) == article(like)]
        return str(self.rng.choice(same or others))

    def of(self, wording: Wording, label: str) -> tuple[TextEdit, ...]:
        """Return every change of a caption: colours, nouns, no colour, the opposite relation."""
        edits = []
        named = [noun.name for noun in wording.nouns]
        for number, noun in enumerate(wording.nouns):
            if noun.colour is not None:
                painted = replace(noun, colour=self.colour(noun.colour))
                edits.append(wording.exchange(number, "colour", painted, label))
                plain = replace(noun, colour=None)
                edits.append(wording.exchange(number, "no_adjective", plain, label))
            rest = named[1 - number] if len(named) > 1 else ""
            other = replace(noun, name=self.noun(noun.name, noun.colour, rest))
            edits.append(wording.exchange(number, "noun", other, label))
        if wording.joint in OPPOSITES:
            edits.append(wording.opposite(label))
        return tuple(edits)


def probes_of(
    objects: Sequence[SceneObject], scene: Scene, exchanges: Exchanges
) -> tuple[Probe, ...]:
    """Write the probes of a scene, one of each possible kind.

    - present and absent: two nouns in either order, one of which is in the image;
    - framed: a noun that is not the last word;
    - wrong colour: an object of the image in a colour that differs from the prompt's;
    - pair: two objects of the image with their colours;
    - relation: two objects of the image and the position of the first one.

    Args:
        objects: the visible objects.
        scene: their scene.
        exchanges: source of names and colours that are not in the image.
    """
    rng = exchanges.rng
    if not objects:
        return ()
    order = [objects[i] for i in rng.permutation(len(objects))]
    first = order[0]
    there = Noun(first.name, first.colour)
    absent = Noun(exchanges.noun(first.name))
    nouns = (there, absent) if rng.random() < 0.5 else (absent, there)
    chosen = [
        (Wording(nouns, str(rng.choice(SECOND_JOINTS))), first.name),
        (Wording((there,), frame=LAST_FRAME), first.name),
    ]
    painted = [thing for thing in order if thing.colour is not None]
    if painted:
        wrong = Noun(painted[0].name, exchanges.colour(painted[0].colour))
        chosen.append((Wording((wrong,)), painted[0].name))
    if len(order) > 1:
        pair = (there, Noun(order[1].name, order[1].colour))
        chosen.append((Wording(pair, str(rng.choice(SECOND_JOINTS))), first.name))
        relation = _relation(scene, first, order[1])
        if relation:
            plain = (Noun(first.name), Noun(order[1].name))
            chosen.append((Wording(plain, relation), first.name))
    return tuple(
        Probe(wording.text, label, exchanges.of(wording, label)) for wording, label in chosen
    )


def _relation(scene: Scene, first: SceneObject, second: SceneObject) -> str:
    """Words for the position of the first object; empty if there is no clear relation."""
    a, b = (scene.slots[scene.objects.index(thing)] for thing in (first, second))
    layout = scene.layout
    number = relation_of(
        float(layout.x[0, a] - layout.x[0, b]), float(layout.y[0, a] - layout.y[0, b])
    )
    return RELATIONS[number] if number >= 0 else ""
