"""Captions of scenes with their claims, which can be checked for any scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whyclip.scenes.drawing import COLOURS
from whyclip.scenes.layout import Layout
from whyclip.scenes.sprites import Atlas

RELATIONS = ("to the left of", "to the right of", "above", "below")
_SHORT = {"to the left of": "left of", "to the right of": "right of"}
_FRAMES = (
    "{}", "{}", "{}", "{}", "{}",
    "a photo of {}", "a photo of {}", "a picture of {}", "an image of {}", "an emoji of {}",
    "a drawing of {}", "a scene with {}", "there is {}", "this is {}", "{} on a background",
)  # fmt: skip
_JOINTS = ("next to", "beside", "and", "with", "near")
MARGIN = 24.0


@dataclass(frozen=True)
class Claim:
    """Claim of a caption: objects with or without colours, and at most one relation.

    Attributes:
        objects: (concept, colour or -1) pairs, one to four.
        relation: index into `RELATIONS` between the first two objects, or -1.
    """

    objects: tuple[tuple[int, int], ...]
    relation: int = -1


def phrase(name: str, colour: str | None = None, article: bool = True) -> str:
    """Return "a red car", "an apple", "grapes" or, without article, the bare words."""
    words = f"{colour} {name}" if colour else name
    plural = name.endswith("s") and not name.endswith(("ss", "us", "is", "ctus"))
    if not article or plural:
        return words
    return (
        f"{'an' if words[0] in 'aeiou' and not words.startswith(('unic', 'one')) else 'a'} {words}"
    )


def relation_of(dx: float, dy: float, margin: float = MARGIN) -> int:
    """Return the relation of object 1 to object 2 for (dx, dy) = centre 1 - centre 2, or -1."""
    if max(abs(dx), abs(dy)) < margin:
        return -1
    if abs(dx) > abs(dy):
        return 0 if dx < 0 else 1
    return 2 if dy < 0 else 3


class Writer:
    """Write captions from tables of uniform numbers, so they depend only on the seed."""

    def __init__(self, atlas: Atlas) -> None:
        """Prepare the names of an atlas."""
        self.names = [(n, *s) for n, s in zip(atlas.names, atlas.synonyms, strict=True)]
        self.colours = tuple(COLOURS)

    def named(self, concept: int, colour: int, u: float, article: bool = True) -> str:
        """Name one object, one time in six by a synonym, if it has one."""
        names = self.names[concept]
        name = (
            names[1 + int(u * 6 * (len(names) - 1))] if u < 1 / 6 and len(names) > 1 else names[0]
        )
        return phrase(name, self.colours[colour] if colour >= 0 else None, article)

    def single(self, concept: int, colour: int, u: float, v: float) -> str:
        """Write a caption of one object: its name, with an article, or in a frame."""
        if v < 0.25:
            return self.named(concept, colour, u, article=False)
        frame = _FRAMES[int((v - 0.25) / 0.75 * len(_FRAMES))]
        return frame.format(self.named(concept, colour, u))

    def caption(self, layout: Layout, row: int) -> tuple[str, Claim]:
        """Write a caption of one scene: some objects, optionally colours and a relation."""
        u = layout.words[row]
        present = np.flatnonzero(layout.concept[row] >= 0)
        order = present[np.argsort(u[: len(present)])]
        number = 1 + int(u[4] * len(order))
        objects = [
            (int(layout.concept[row, j]), int(layout.colour[row, j]) if u[8 + j] < 0.8 else -1)
            for j in order[:number]
        ]
        if number == 1:
            return self.single(*objects[0], u[12], u[5]), Claim(tuple(objects))
        parts = [self.named(c, k, u[12 + i]) for i, (c, k) in enumerate(objects)]
        if number == 2:
            first, second = order[:2]
            relation = relation_of(
                layout.x[row, first] - layout.x[row, second],
                layout.y[row, first] - layout.y[row, second],
            )
            if relation >= 0 and u[6] < 0.5:
                words = RELATIONS[relation]
                words = _SHORT.get(words, words) if u[7] < 0.5 else words
                return f"{parts[0]} {words} {parts[1]}", Claim(tuple(objects), relation)
            text = f"{parts[0]} {_JOINTS[int(u[7] * len(_JOINTS))]} {parts[1]}"
        else:
            text = ", ".join(parts[:-1]) + (" and " if u[7] < 0.7 else ", ") + parts[-1]
        return _FRAMES[int(u[5] * (len(_FRAMES) - 1))].format(text), Claim(tuple(objects))


def truth(claims: list[Claim], layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Check every claim for every scene.

    Returns:
        bool `[b, n]` true, and bool `[b, n]` undecidable: the claim names a colour, but the object
        has its own colours, which may or may not match.
    """
    width = 4
    concept = np.full((len(claims), width), -1)
    colour = np.full((len(claims), width), -1)
    for i, claim in enumerate(claims):
        for j, (c, k) in enumerate(claim.objects):
            concept[i, j], colour[i, j] = c, k
    there = layout.concept[:, None, None, :] == concept[None, :, :, None]
    there &= concept[None, :, :, None] >= 0
    plain = layout.colour[:, None, None, :] < 0
    coloured = colour[None, :, :, None] >= 0
    same = layout.colour[:, None, None, :] == colour[None, :, :, None]
    holds = (there & (~coloured | same)).any(-1) | (concept < 0)
    maybe = (there & (~coloured | same | plain)).any(-1) | (concept < 0)
    true, possible = holds.all(-1), maybe.all(-1)
    for i, claim in enumerate(claims):
        if claim.relation >= 0:
            for row in np.flatnonzero(possible[:, i]):
                a = int((layout.concept[row] == claim.objects[0][0]).argmax())
                b = int((layout.concept[row] == claim.objects[1][0]).argmax())
                fits = claim.relation == relation_of(
                    layout.x[row, a] - layout.x[row, b], layout.y[row, a] - layout.y[row, b], 0.0
                )
                true[row, i] &= fits
                possible[row, i] &= fits
    return true, possible & ~true
