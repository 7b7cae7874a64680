"""Methods that are told what painting over an object costs, and what an absent class costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import whyclip
from audit_toy import planted
from whyclip.datasets.dataset import Dataset, Sample
from whyclip.encoded_prompts import encode_prompts
from whyclip.forward.forward_pass import ForwardPass
from whyclip.inputs.words import words_of
from whyclip.methods import Method, Relevance
from whyclip.methods.method import last_block_only
from whyclip.perturbation.inpaint import inpainted
from whyclip.studies.audit.absent import AbsentNouns, NounProbe


def widened(mask: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
    """Two pixels wider, without pixels of others, one pixel at a time."""
    height, width = mask.shape
    hole = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        hole[max(y - 2, 0) : min(y + 3, height), max(x - 2, 0) : min(x + 3, width)] = True
    for other in others:
        hole &= ~other
    return hole


def of_holes(view: whyclip.ModelView, data: Dataset) -> Method:
    """On each object what the score loses if it is painted over, in equal parts."""
    known: dict[bytes, Sample] = {}
    for sample in data:
        known[view.preprocess(sample.image).numpy().tobytes()] = sample

    def relevance(forward_pass: ForwardPass) -> Relevance:
        sample = known[forward_pass.inputs[0].numpy().tobytes()]
        gh, gw = forward_pass.stream.grid or (1, 1)
        content = forward_pass.content_mask[0]
        values = torch.zeros(1, len(forward_pass.targets), len(content))
        score = forward_pass.targets.score(forward_pass.embedding)[0]
        masks = dict(sample.masks or {})
        for label, mask in masks.items():
            hole = widened(mask, [other for name, other in masks.items() if name != label])
            pixels = inpainted(np.asarray(sample.image), hole)
            with torch.no_grad():
                changed = view.image.encode(view.preprocess(Image.fromarray(pixels))[None])
                left = forward_pass.targets.score(changed.float())[0]
            share = F.adaptive_avg_pool2d(torch.from_numpy(mask).float()[None, None], (gh, gw))
            share = share.flatten() / share.sum()
            values[0, :, content] += (score - left)[:, None] * share
        return Relevance(values.detach(), forward_pass.embedding)

    return planted("told_holes", relevance)


def of_nouns(view: whyclip.ModelView, data: Dataset, seed: int = 0) -> Method:
    """On each noun what the score loses by an absent class in its place.

    Two images may have one prompt with other exchanges, so the image is recognised as well.
    """
    tokenizer: Any = view.tokenizer
    written, images, probes = AbsentNouns(data, seed), [], []
    for sample in data:
        with torch.no_grad():
            embedding = view.image.encode(view.preprocess(sample.image)[None]).float()
        images.append(F.normalize(embedding, dim=-1)[0])
        probes.append({ids_of(tokenizer, p.prompt): p for p in written.probes(sample)})
    directions = torch.stack(images)

    def relevance(forward_pass: ForwardPass) -> Relevance:
        [image] = (forward_pass.targets.directions @ directions.T).argmax(-1).tolist()
        values = torch.zeros(*forward_pass.content_mask.shape)
        scores = forward_pass.targets.score(forward_pass.embedding)[:, 0]
        for row, ids in enumerate(forward_pass.inputs.tolist()):
            probe: NounProbe | None = probes[image].get(tuple(x for x in ids if x))
            for swap in probe.swaps if probe else ():
                assert probe is not None
                with torch.no_grad():
                    changed = encode_prompts(view, [swap.prompt]).targets().directions
                drop = scores[row] - forward_pass.targets.score(changed)[0, 0]
                spans = [span for _, *span in words_of(probe.prompt)]
                for span in swap.words:
                    pieces = list(forward_pass.words[row][spans.index(list(span))])
                    values[row, pieces] += drop.detach() / len(pieces) / len(swap.words)
        return Relevance(values[:, None], forward_pass.embedding)

    return planted("told_nouns", relevance, sides=("text",), blocks_needed=last_block_only)


def ids_of(tokenizer: Any, prompt: str) -> tuple[int, ...]:
    return tuple(x for x in tokenizer([prompt])[0].tolist() if x)
