"""Training batches: images as patches, captions, and the truth of each caption per image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from training.model import GRID, PATCH, Group, Vocabulary, patchify
from training.stages import Stage
from whyclip.scenes.captions import _FRAMES, _JOINTS, RELATIONS, Claim, Writer, truth
from whyclip.scenes.drawing import COLOURS, draw, draw_crops
from whyclip.scenes.layout import SIDE, Layout, keys_of, sample_layouts
from whyclip.scenes.sprites import Atlas

CROP = 64
# Wrong colours of an object: the colour of each other object, and one absent colour.
RIVALS = 4


class Truth(NamedTuple):
    """Truth of n texts for b images or objects, bool `[b, n]` each.

    Undecidable texts are ignored.
    """

    true: torch.Tensor
    undecidable: torch.Tensor


@dataclass
class Batch:
    """One step's data.

    Attributes:
        groups: the images.
        tokens: `[n, t]` compact ids; the first `bank` texts are the phrases of all concepts.
        pictures: truth of the texts for the images.
        objects: truth of the texts for each object with patches, encoded alone; None if unused.
        rivals: int `[g, 1 + RIVALS]`, texts that differ in the colour of one object, with the
            right colour first, padded with -1; and int `[g]`, their images. None in early stages.
    """

    groups: list[Group]
    tokens: torch.Tensor
    bank: int
    pictures: Truth
    objects: Truth | None
    rivals: tuple[torch.Tensor, torch.Tensor] | None = None


def all_words(atlas: Atlas) -> set[str]:
    """Return every word that captions use."""
    writer = Writer(atlas)
    texts = [n for names in writer.names for n in names]
    texts += [*COLOURS, *RELATIONS, "left of", "right of", *_JOINTS, "a an the", "a, b"]
    texts += [f.format("") for f in _FRAMES]
    words = {w for t in texts for w in t.split()}
    return words | {w + "," for w in words}


class Batches:
    """Generate the batch of each step from the step's seeds."""

    def __init__(
        self,
        atlas: Atlas,
        vocabulary: Vocabulary,
        size: int = 256,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare batches of `size` images, drawn on `device`."""
        self.atlas, self.vocabulary, self.size = atlas, vocabulary, size
        self.device = torch.device(device)
        self.writer = Writer(atlas)

    def texts(
        self, layout: Layout, rng: np.random.Generator, rivals: bool = False
    ) -> tuple[list[str], list[Claim], list[tuple[int, list[int]]]]:
        """Write one phrase per concept, one caption per image, and wrong-colour captions.

        With `rivals`, the wrong-colour captions cover every object next to one of another colour.
        The third list then has, for each such object, its image and the indices of the texts with
        the right colour and with wrong ones.
        """
        n = len(self.atlas.names)
        u = rng.random((n, 2))
        texts = [self.writer.single(c, -1, u[c, 0], u[c, 1]) for c in range(n)]
        claims = [Claim(((c, -1),)) for c in range(n)]
        asked: list[tuple[int, list[int]]] = []
        for row in range(len(layout)):
            present = np.flatnonzero(layout.concept[row] >= 0)
            # For a single object in its own colours, the phrase of its concept is sufficient.
            if len(present) == 1 and layout.colour[row, 0] < 0:
                continue
            text, claim = self.writer.caption(layout, row)
            texts.append(text)
            claims.append(claim)
            tinted = present[layout.colour[row, present] >= 0]
            colours = [int(c) for c in layout.colour[row, tinted]]
            if rivals:
                wrong = [wrong_colours(k, colours, rng) for k in colours]
                told = list(zip(tinted, wrong, strict=True)) if len(set(colours)) > 1 else []
            else:
                told = [wrong_colour(tinted, colours, rng)] if colours else []
            for j, others in told:
                a, b = rng.random(2)
                right = [int(layout.colour[row, j])] if rivals or a < 0.5 else []
                if rivals:
                    asked.append((row, list(range(len(texts), len(texts) + 1 + len(others)))))
                for colour in right + others:
                    named = (int(layout.concept[row, j]), colour)
                    texts.append(self.writer.single(*named, b, a))
                    claims.append(Claim((named,)))
        return texts, claims, asked

    def make(self, step: int, stage: Stage, done: float = 1.0) -> Batch:
        """Make the batch of a step, at progress `done` 0..1 of a stage."""
        size = int(self.size * stage.portion)
        keys = keys_of(np.arange(step * self.size, step * self.size + size), "train")
        objects = (stage.objects[step % 2], stage.objects[2])
        layout = sample_layouts(self.atlas, keys, objects=objects, tinted=stage.tinted)
        rng = np.random.default_rng([3, step])
        if stage.crops:
            groups = [self.crops(layout, stage.spread(done))]
        else:
            layout = layout.rows(np.argsort((layout.concept >= 0).sum(1), kind="stable"))
            groups = self.scenes(layout, rng, stage)
        texts, claims, asked = self.texts(layout, rng, rivals=stage.binding is not None)
        rivals = None
        if asked:
            columns = torch.full((len(asked), 1 + RIVALS), -1)
            for line, (_, numbers) in enumerate(asked):
                columns[line, : len(numbers)] = torch.tensor(numbers)
            about = torch.tensor([row for row, _ in asked])
            rivals = columns.to(self.device), about.to(self.device)
        return Batch(
            groups,
            self.vocabulary.encode(texts).to(self.device),
            len(self.atlas.names),
            self.decide(claims, layout),
            self.decide_alone(claims, layout, groups),
            rivals,
        )

    def decide(self, claims: list[Claim], layout: Layout) -> Truth:
        """Check every claim for every scene."""
        return Truth(*(torch.from_numpy(a).to(self.device) for a in truth(claims, layout)))

    def decide_alone(
        self, claims: list[Claim], layout: Layout, groups: list[Group]
    ) -> Truth | None:
        """Check the claims about one object for every object that is shown alone."""
        members = [g.members for g in groups if g.members is not None]
        if members:
            at = np.nonzero(torch.cat([m.any(-1) for m in members]).cpu().numpy())
        elif groups[0].whose is not None:
            at = np.nonzero(layout.concept >= 0)
        else:
            return None
        alone = replace(
            layout, concept=layout.concept[at][:, None], colour=layout.colour[at][:, None]
        )
        true, undecidable = self.decide(claims, alone)
        several = torch.tensor([len(claim.objects) > 1 for claim in claims], device=self.device)
        return Truth(true, undecidable | several)

    def crops(self, layout: Layout, spread: float) -> Group:
        """Draw the 4 x 4 patches around every object, without the other objects of its image.

        At first, all crops get the positions of the central patches.
        """
        images = len(layout)
        rows, layout = layout.one_by_one()
        whose = None if len(rows) == images else torch.from_numpy(rows).to(self.device)
        centre = np.stack([layout.y[:, 0], layout.x[:, 0]], -1)
        corner = ((centre - CROP / 2) / PATCH).round().clip(0, GRID - CROP // PATCH).astype(int)
        drawn = draw_crops(self.atlas, layout, corner * PATCH, CROP, device=self.device)
        patches = patchify(drawn)
        middle = (GRID - CROP // PATCH) // 2
        told = (middle + (corner - middle) * spread).round().astype(int)
        steps = np.arange(CROP // PATCH)
        down = told[:, :1, None] + steps[None, :, None]
        across = told[:, 1:, None] + steps[None, None, :]
        places = torch.from_numpy((down * GRID + across).reshape(len(layout), -1))
        return Group(patches, places.to(self.device), whose=whose)

    def scenes(self, layout: Layout, rng: np.random.Generator, stage: Stage) -> list[Group]:
        """Draw whole scenes, grouped by number of objects, without most of the background."""
        groups = []
        number = (layout.concept >= 0).sum(1)
        for part in np.array_split(np.arange(len(layout)), 4):
            some = layout.rows(part)
            images = draw(self.atlas, some, SIDE, SIDE, device=self.device)[0]
            rank = within(some, 1.0).any(1) + rng.random((len(part), GRID * GRID))
            most = 11 * int(number[part].max()) + stage.bare(rng)
            kept = np.argsort(-rank, axis=1)[:, : min(most, GRID * GRID)].copy()
            own = within(some, 0.0)
            for slot in range(own.shape[1] - 1):
                own[:, slot] &= ~own[:, slot + 1 :].any(1)
            members = np.take_along_axis(own, kept[:, None], 2)
            places = torch.from_numpy(kept).to(self.device)
            groups.append(
                Group(patchify(images, places), places, torch.from_numpy(members).to(self.device))
            )
        return groups


def wrong_colour(
    tinted: np.ndarray, colours: list[int], rng: np.random.Generator
) -> tuple[int, list[int]]:
    """Choose a tinted object and a wrong colour for it."""
    j = rng.choice(len(tinted))
    wrong = (colours[j] + rng.integers(1, len(COLOURS))) % len(COLOURS)
    # The colour of another object in the image is the hardest negative.
    others = [k for k in colours if k != colours[j]]
    if others and rng.random() < 0.5:
        wrong = rng.choice(others)
    return int(tinted[j]), [int(wrong)]


def wrong_colours(right: int, present: list[int], rng: np.random.Generator) -> list[int]:
    """Return the colours other than `right` in the image, then an absent one."""
    elsewhere = sorted(set(present) - {right})
    absent = [c for c in range(len(COLOURS)) if c != right and c not in elsewhere]
    return [*elsewhere, int(rng.choice(absent))]


def within(layout: Layout, margin: float) -> np.ndarray:
    """Return bool `[b, k, 196]`: patches in each object's square, enlarged by `margin` pixels.

    The position of a patch is its centre.
    """
    at = (np.arange(GRID) + 0.5) * PATCH
    reach = (layout.size / 2 + margin)[:, :, None]
    near_y = np.abs(at - layout.y[:, :, None]) < reach
    near_x = np.abs(at - layout.x[:, :, None]) < reach
    there = (layout.concept >= 0)[:, :, None, None]
    inside = near_y[..., :, None] & near_x[..., None, :] & there
    return inside.reshape(*inside.shape[:2], -1)
