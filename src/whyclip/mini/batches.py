"""Training batches: pictures as patches, captions, and which caption is true of which picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from whyclip.data.captions import _FRAMES, _JOINTS, RELATIONS, Claim, Writer, truth
from whyclip.data.draw import COLOURS, draw, draw_crops
from whyclip.data.layout import SIDE, Layout, keys_of, sample_layouts
from whyclip.data.sprites import Atlas
from whyclip.mini.model import GRID, PATCH, Vocabulary, patchify

CROP = 64


@dataclass
class Batch:
    """One step's data.

    Attributes:
        groups: (patches `[b_i, t_i, 768]`, places `[b_i, t_i]`) with as many patches each.
        tokens: `[n, t]` compact ids; the first `bank` texts name one concept each, all of them.
        true: bool `[b, n]`, undecidable: bool `[b, n]`.
    """

    groups: list[tuple[torch.Tensor, torch.Tensor]]
    tokens: torch.Tensor
    bank: int
    true: torch.Tensor
    undecidable: torch.Tensor


def all_words(atlas: Atlas) -> set[str]:
    """Return every word that a caption can have."""
    writer = Writer(atlas)
    texts = [n for names in writer.names for n in names]
    texts += [*COLOURS, *RELATIONS, "left of", "right of", *_JOINTS, "a an the", "a, b"]
    texts += [f.format("") for f in _FRAMES]
    words = {w for t in texts for w in t.split()}
    return words | {w + "," for w in words}


class Batches:
    """Makes the batch of each step from the step's own seeds."""

    def __init__(
        self,
        atlas: Atlas,
        vocabulary: Vocabulary,
        size: int = 256,
        device: torch.device | str = "cpu",
    ) -> None:
        """Prepare batches of `size` pictures, drawn on `device`."""
        self.atlas, self.vocabulary, self.size = atlas, vocabulary, size
        self.device = torch.device(device)
        self.writer = Writer(atlas)

    def texts(self, layout: Layout, rng: np.random.Generator) -> tuple[list[str], list[Claim]]:
        """Write a phrase a concept, a caption a picture, and captions with a wrong colour."""
        n = len(self.atlas.names)
        u = rng.random((n, 2))
        texts = [self.writer.single(c, -1, u[c, 0], u[c, 1]) for c in range(n)]
        claims = [Claim(((c, -1),)) for c in range(n)]
        # Crops show the first object alone, about which the bank has said all but its colour.
        for row in range(len(layout)):
            present = np.flatnonzero(layout.concept[row] >= 0)
            if len(present) == 1 and layout.colour[row, 0] < 0:
                continue
            text, claim = self.writer.caption(layout, row)
            texts.append(text)
            claims.append(claim)
            tinted = present[layout.colour[row, present] >= 0]
            if tinted.size:
                j = rng.choice(tinted)
                right = int(layout.colour[row, j])
                wrong = (right + rng.integers(1, len(COLOURS))) % len(COLOURS)
                # A colour that is in the picture, but on something else, is the hardest to refuse.
                others = [k for k in layout.colour[row, tinted] if k != right]
                if others and rng.random() < 0.5:
                    wrong = rng.choice(others)
                a, b = rng.random(2)
                for colour in (right, int(wrong)) if a < 0.5 else (int(wrong),):
                    told = (int(layout.concept[row, j]), colour)
                    texts.append(self.writer.single(*told, b, a))
                    claims.append(Claim((told,)))
        return texts, claims

    def make(self, step: int, stage: str, spread: float = 1.0) -> Batch:
        """Make the batch of a number; `spread` 0..1 is how far crops are strewn over the grid."""
        keys = keys_of(np.arange(step * self.size, (step + 1) * self.size), "train")
        # Every other batch has no single objects: several are harder and learned later.
        objects = (1, 1) if stage == "crops" else (1 + step % 2, 4)
        layout = sample_layouts(self.atlas, keys, objects=objects)
        rng = np.random.default_rng([3, step])
        if stage == "crops":
            groups = [self.crops(layout, spread)]
        else:
            order = np.argsort((layout.concept >= 0).sum(1), kind="stable")
            for name, array in vars(layout).items():
                setattr(layout, name, array[order])
            groups = self.scenes(layout, rng, keep_all=stage == "full")
        texts, claims = self.texts(layout, rng)
        true, undecidable = truth(claims, layout)
        return Batch(
            groups,
            self.vocabulary.encode(texts).to(self.device),
            len(self.atlas.names),
            torch.from_numpy(true).to(self.device),
            torch.from_numpy(undecidable).to(self.device),
        )

    def crops(self, layout: Layout, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the 4 x 4 patches around each object; early on all are taken for the middle ones."""
        centre = np.stack([layout.y[:, 0], layout.x[:, 0]], -1)
        corner = ((centre - CROP / 2) / PATCH).round().clip(0, GRID - CROP // PATCH).astype(int)
        drawn = draw_crops(self.atlas, layout, corner * PATCH, CROP, device=self.device)
        patches = patchify(drawn)
        middle = (GRID - CROP // PATCH) // 2
        told = (middle + (corner - middle) * spread).round().astype(int)
        steps = np.arange(CROP // PATCH)
        rows = told[:, :1, None] + steps[None, :, None]
        columns = told[:, 1:, None] + steps[None, None, :]
        places = (rows * GRID + columns).reshape(len(layout), -1)
        return patches, torch.from_numpy(places).to(self.device)

    def scenes(
        self, layout: Layout, rng: np.random.Generator, keep_all: bool
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Draw whole scenes in groups of like number of objects, most bare background left out."""
        groups = []
        number = (layout.concept >= 0).sum(1)
        for part in np.array_split(np.arange(len(layout)), 4):
            some = Layout(**{name: array[part] for name, array in vars(layout).items()})
            pictures = draw(self.atlas, some, SIDE, SIDE, device=self.device)[0]
            if keep_all:
                every = torch.arange(GRID * GRID, device=self.device).expand(len(part), -1)
                groups.append((patchify(pictures), every))
                continue
            # A patch is an object's when its centre is within the sprite's square and half a patch.
            at = (np.arange(GRID) + 0.5) * PATCH
            reach = (some.size / 2 + 4)[:, :, None]
            near_y = np.abs(at - some.y[:, :, None]) < reach
            near_x = np.abs(at - some.x[:, :, None]) < reach
            there = (some.concept >= 0)[:, :, None, None]
            covered = (near_y[..., :, None] & near_x[..., None, :] & there).any(1)
            rank = covered.reshape(len(part), -1) + rng.random((len(part), GRID * GRID))
            # Little bare background teaches as much for less; now and then more of it stays, so
            # that none of it comes as a surprise later.
            bare = rng.integers(0, 12) if rng.random() < 0.8 else rng.integers(12, 80)
            most = min(14 * int(number[part].max()) + int(bare), GRID * GRID)
            kept = torch.from_numpy(np.argsort(-rank, axis=1)[:, :most].copy()).to(self.device)
            groups.append((patchify(pictures, kept), kept))
        return groups
