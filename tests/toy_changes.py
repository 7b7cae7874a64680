"""A toy whose two edges can be changed, and methods that are told what each change costs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image

import whyclip
from audit_toy import NAMES, Toy, planted
from whyclip.datasets.dataset import Dataset, Sample
from whyclip.encoded_prompts import encode_prompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.inputs.words import words_of
from whyclip.methods import Method, Relevance
from whyclip.methods.method import last_block_only
from whyclip.scenes.interventions import IMAGE_EDITS, ImageEdit, ImageEditKind
from whyclip.scenes.probes import Probe
from whyclip.scenes.wording import TextEdit, TextEditKind

GREY = 90
COLOURS = ("red", "green")


class Changes:
    """Edges become grey or negative, and words other words."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.pixels = np.asarray(sample.image)

    @property
    def background(self) -> np.ndarray:
        return np.full_like(self.pixels, GREY)

    def images(self, kinds: Collection[ImageEditKind] = IMAGE_EDITS) -> list[ImageEdit]:
        edits = []
        for kind in kinds:
            for label, mask in (self.sample.masks or {}).items():
                pixels = self.pixels.copy()
                pixels[mask] = GREY if kind == "removed" else 255 - pixels[mask]
                edits.append(ImageEdit(kind, label, Image.fromarray(pixels), mask, True))
        return edits

    def texts(self, prompt_index: int) -> list[TextEdit]:
        prompt, label = self.sample.prompts[prompt_index], self.sample.labels[prompt_index]
        return edits_of(prompt, label)

    def probes(self) -> list[Probe]:
        """Both labels in one prompt, so that one noun is not last."""
        one, other = self.sample.labels
        prompt = f"a {one} and a {other}"
        return [Probe(prompt, one, tuple(edits_of(prompt, one)))]


def edits_of(prompt: str, label: str) -> list[TextEdit]:
    """Exchange each colour and each last word of a name."""
    nouns = {name.split()[-1] for name in NAMES}
    edits = []
    for number, (word, start, end) in enumerate(words_of(prompt)):
        kind: TextEditKind = "colour" if word in COLOURS else "noun"
        if word in nouns or word in COLOURS:
            new = "blue" if kind == "colour" else "boat"
            changed = prompt[:start] + new + prompt[end:]
            edits.append(TextEdit(kind, changed, (number,), label))
    return edits


class Changeable(Toy):
    """A toy with an object at its left and at its right edge, and interventions."""

    def sample(self, index: int) -> Sample:
        sample = super().sample(index)
        columns = np.broadcast_to(np.arange(32), (32, 32))
        edges = (columns < 8, columns >= 24)
        sample = replace(sample, masks=dict(zip(sample.labels, edges, strict=True)))
        return replace(sample, interventions=Changes(sample))

    def has_interventions(self) -> bool:
        return True


def of_images(view: whyclip.ModelView, data: Dataset, kind: ImageEditKind) -> Method:
    """On each edge what the score loses by its change, in equal parts."""
    known: dict[bytes, Sequence[ImageEdit]] = {}
    for sample in data:
        assert sample.interventions is not None
        known[view.preprocess(sample.image).numpy().tobytes()] = sample.interventions.images([kind])

    def relevance(forward_pass: ForwardPass) -> Relevance:
        gh, gw = forward_pass.stream.grid or (1, 1)
        n, t = len(forward_pass.targets), forward_pass.content_mask.shape[1]
        values = torch.zeros(1, n, t)
        score = forward_pass.targets.score(forward_pass.embedding)[0]
        for edit in known[forward_pass.inputs[0].numpy().tobytes()]:
            changed = view.preprocess(edit.image)[None]
            with torch.no_grad():
                left = forward_pass.targets.score(view.image.encode(changed).float())[0]
            side = torch.from_numpy(edit.mask).float()[None, None]
            share = torch.nn.functional.adaptive_avg_pool2d(side, (gh, gw)).flatten()
            share = share / share.sum()
            mask = forward_pass.content_mask[0]
            values[0, :, mask] += (score - left)[:, None] * share
        return Relevance(values.detach(), forward_pass.embedding)

    return planted(f"told_{kind}", relevance)


def of_patches(view: whyclip.ModelView) -> Method:
    """On each patch what the score loses if it shows the background."""
    grey = view.preprocess(Image.new("RGB", (32, 32), (GREY,) * 3))

    def relevance(forward_pass: ForwardPass) -> Relevance:
        gh, gw = forward_pass.stream.grid or (1, 1)
        edited = forward_pass.inputs.repeat(gh * gw, 1, 1, 1)
        side = edited.shape[-1] // gw
        for patch in range(gh * gw):
            top, left = patch // gw * side, patch % gw * side
            area = (slice(None), slice(top, top + side), slice(left, left + side))
            edited[patch][area] = grey[area]
        with torch.no_grad():
            left_over = forward_pass.targets.score(view.image.encode(edited).float())
        drops = forward_pass.targets.score(forward_pass.embedding)[0] - left_over
        values = torch.zeros(1, drops.shape[1], forward_pass.content_mask.shape[1])
        values[0, :, forward_pass.content_mask[0]] = drops.T.detach()
        return Relevance(values, forward_pass.embedding)

    return planted("told_patches", relevance)


def of_texts(view: whyclip.ModelView, data: Dataset) -> Method:
    """On each word what the score loses by its exchange; found by the token ids of the prompt."""
    tokenizer: Any = view.tokenizer
    known: dict[tuple[int, ...], list[TextEdit]] = {}
    for sample in data:
        made = sample.interventions
        assert made is not None
        pairs = [(p, made.texts(i)) for i, p in enumerate(sample.prompts)]
        pairs += [(probe.prompt, probe.edits) for probe in made.probes()]
        for prompt, edits in pairs:
            ids = tuple(x for x in tokenizer([prompt])[0].tolist() if x)
            known[ids] = list(edits)

    def relevance(forward_pass: ForwardPass) -> Relevance:
        values = torch.zeros(*forward_pass.content_mask.shape)[:, None]
        values = values.repeat(1, len(forward_pass.targets), 1)
        scores = forward_pass.targets.score(forward_pass.embedding)
        for row, ids in enumerate(forward_pass.inputs.tolist()):
            edits = known.get(tuple(x for x in ids if x), [])
            for edit in edits:
                with torch.no_grad():
                    directions = encode_prompts(view, [edit.prompt]).targets().directions
                left = forward_pass.targets.score(directions)[0]
                for number in edit.words:
                    pieces = list(forward_pass.words[row][number])
                    drop = (scores[row] - left)[:, None] / len(pieces)
                    values[row][:, pieces] = drop.detach()
        return Relevance(values, forward_pass.embedding)

    return planted("told_words", relevance, sides=("text",), blocks_needed=last_block_only)


def first_head(forward_pass: ForwardPass) -> Relevance:
    """What the first head of the last attention reads."""
    last = len(forward_pass.tower.blocks) - 1
    weights = forward_pass.attention(last)
    rows = torch.arange(len(weights))
    read = weights[rows, 0, forward_pass.stream.readout_index]
    return Relevance(read[:, None].repeat(1, len(forward_pass.targets), 1), forward_pass.embedding)


FIRST_HEAD = planted(
    "first_head", first_head, sides=("image", "text"), blocks_needed=last_block_only
)
