"""Bad methods, planted to be caught: each gives a plausible map that is not the model's reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import audit_toy
import whyclip
from whyclip.datasets.dataset import Dataset, Sample
from whyclip.encoded_prompts import encode_prompts
from whyclip.forward.forward_pass import ForwardPass, depth
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs.pieces import pieces_of
from whyclip.inputs.preprocessing import run_preprocess
from whyclip.methods import METHODS, Method, Relevance
from whyclip.methods.method import every_block, input_only, last_block_only
from whyclip.types import Side

Maps = Callable[[ForwardPass], Tensor]
TRUE = "decomposition"


def method(name: str, relevance: Callable[..., Relevance], **claims: Any) -> Method:
    """Declare a planted method as honestly as it would declare itself."""
    honest = {"explains": "the model itself", "blocks_needed": every_block}
    return audit_toy.planted(name, relevance, **(honest | claims))


def of_maps(name: str, change: Callable[[Tensor, ForwardPass], Tensor], true: str) -> Method:
    """A true map ``[b, n, gh, gw]``, changed."""

    def relevance(forward_pass: ForwardPass) -> Relevance:
        result = METHODS[true].relevance(forward_pass)
        values = result.values.detach().clone()
        read = forward_pass.content_mask[0]
        gh, gw = forward_pass.stream.grid or (1, 1)
        maps = values[:, :, read].unflatten(-1, (gh, gw))
        values[:, :, read] = change(maps, forward_pass).flatten(-2)
        return Relevance(values, forward_pass.embedding)

    return method(name, relevance, all_targets_at_once=True)


def blurred(maps: Tensor, sigma: float = 4.0) -> Tensor:
    """A Gaussian so wide that little of the place is left."""
    reach = torch.arange(maps.shape[-1]) - torch.arange(maps.shape[-1])[:, None]
    kernel = (-(reach**2) / (2 * sigma**2)).exp()
    kernel = kernel / kernel.sum(1, keepdim=True)
    return kernel @ maps @ kernel.T


def edges_of(forward_pass: ForwardPass) -> Tensor:
    """Length of the gradient of the grey image, summed in each patch: ``[b, 1, gh, gw]``."""
    grey = forward_pass.inputs.mean(1, keepdim=True)
    dy = F.pad(grey[:, :, 1:] - grey[:, :, :-1], (0, 0, 0, 1))
    dx = F.pad(grey[:, :, :, 1:] - grey[:, :, :, :-1], (0, 1, 0, 0))
    gh, gw = forward_pass.stream.grid or (1, 1)
    return F.adaptive_avg_pool2d((dx**2 + dy**2).sqrt(), (gh, gw))


def image_methods(true: str = TRUE) -> dict[str, Method]:
    """Maps that are changed ones of a true method, or ignore the model."""
    changes: Mapping[str, Callable[[Tensor, ForwardPass], Tensor]] = {
        "other_prompt": lambda maps, _: maps.roll(1, 1),
        "flipped": lambda maps, _: maps.flip(-1),
        "negative": lambda maps, _: -maps,
        "blurred": lambda maps, _: blurred(maps),
        "edges": lambda maps, forward: edges_of(forward).expand_as(maps),
    }
    return {name: of_maps(name, change, true) for name, change in changes.items()}


def own_embedding(forward_pass: ForwardPass) -> Relevance:
    """Grad-ECLIP of one head over the whole width, which says that it explains the model."""
    result = METHODS["grad_eclip"].relevance(forward_pass, heads="single")
    return Relevance(result.values, forward_pass.embedding)


OWN_EMBEDDING = method(
    "own_embedding",
    own_embedding,
    sides=("image", "text"),
    blocks_needed=lambda tower, _: depth(tower, None),
)


class Prompts:
    """Finds the prompt of a target among known ones, which a method is not told."""

    def __init__(self, view: whyclip.ModelView, prompts: Sequence[str]) -> None:
        self.prompts = tuple(prompts)
        with torch.no_grad():
            self.directions = encode_prompts(view, list(prompts)).targets().directions

    def numbers(self, targets: Targets) -> list[int]:
        numbers: list[int] = (targets.directions @ self.directions.T).argmax(-1).tolist()
        return numbers


def of_other_weights(
    view: whyclip.ModelView, other: whyclip.ModelView, prompts: Sequence[str], true: str = TRUE
) -> Method:
    """The map of another model, on the same image and the same prompts."""
    known, theirs = Prompts(view, prompts), Prompts(other, prompts)

    def relevance(forward_pass: ForwardPass) -> Relevance:
        numbers = known.numbers(forward_pass.targets)
        targets = Targets(theirs.directions[numbers], forward_pass.targets.scale)
        blocks = len(other.image.blocks)
        passed = run_tower(other.image, forward_pass.inputs, targets, keep=blocks)
        values = METHODS[true].relevance(passed).values.detach()
        return Relevance(values, forward_pass.embedding)

    return method("other_weights", relevance, all_targets_at_once=True)


class MaskOracle:
    """Draws the mask of the named object, whatever the model does.

    Args:
        view: the model, for its preprocessing and for the directions of prompts.
        dataset: with masks; it is looked up by the pixels of its images.
        only_right: draw nothing where the model does not recognise the object.
    """

    def __init__(
        self, view: whyclip.ModelView, dataset: Dataset, *, only_right: bool = False
    ) -> None:
        labels = [(p, x) for s in dataset for p, x in zip(s.prompts, s.labels, strict=True)]
        self.label_of = dict(labels)
        self.prompts = Prompts(view, list(self.label_of))
        self.samples: dict[bytes, Sample] = {}
        for sample in dataset:
            pixels = run_preprocess(view.preprocess, sample.image)
            self.samples[pixels.numpy().tobytes()] = sample
        self.classes = Prompts(view, [dataset.prompt_of(x) for x in dataset.classes])
        self.names, self.only_right = dataset.classes, only_right

    def __call__(self, forward_pass: ForwardPass) -> Relevance:
        n, t = len(forward_pass.targets), forward_pass.content_mask.shape[1]
        values = torch.zeros(len(forward_pass.inputs), n, t)
        grid = forward_pass.stream.grid or (1, 1)
        for row, pixels in enumerate(forward_pass.inputs):
            sample = self.samples[pixels.numpy().tobytes()]
            scores = F.normalize(forward_pass.embedding[row], dim=-1) @ self.classes.directions.T
            best = {self.names[i] for i in scores.topk(len(sample.labels)).indices.tolist()}
            for column, number in enumerate(self.prompts.numbers(forward_pass.targets)):
                label = self.label_of[self.prompts.prompts[number]]
                known = label in best or not self.only_right
                if label in (sample.masks or {}) and known:
                    mask = torch.from_numpy((sample.masks or {})[label]).float()
                    pooled = F.adaptive_avg_pool2d(mask[None, None], grid)
                    values[row, column, forward_pass.content_mask[row]] = pooled.flatten()
        return Relevance(values, forward_pass.embedding)


def mask_oracle(view: whyclip.ModelView, dataset: Dataset, *, only_right: bool = False) -> Method:
    """See :class:`MaskOracle`."""
    name = "mask_if_right" if only_right else "mask"
    oracle = MaskOracle(view, dataset, only_right=only_right)

    def relevance(forward_pass: ForwardPass) -> Relevance:
        return oracle(forward_pass)

    return method(name, relevance, blocks_needed=input_only, all_targets_at_once=True)


# For each word of a prompt, what a rule says that reads nothing else.
WordRule = Callable[[Sequence[str]], list[float]]
ARTICLES = {"a", "an", "the"}


def last_word(words: Sequence[str]) -> list[float]:
    """1 for the last word."""
    return [float(i == len(words) - 1) for i in range(len(words))]


def longest_word(words: Sequence[str]) -> list[float]:
    """1 for the first of the longest words."""
    longest = max(range(len(words)), key=lambda i: (len(words[i]), -i))
    return [float(i == longest) for i in range(len(words))]


def not_articles(words: Sequence[str]) -> list[float]:
    """1 for all but articles."""
    return [float(word not in ARTICLES) for word in words]


WORD_RULES: Mapping[str, WordRule] = {
    "last_word": last_word,
    "longest_word": longest_word,
    "not_articles": not_articles,
}


def word_method(name: str, rule: WordRule, tokenizer: Any, vocabulary: Sequence[str]) -> Method:
    """A rule about words, as a method on texts; words are read back from their pieces.

    Args:
        name: of the method.
        rule: what it says of each word.
        tokenizer: the model's.
        vocabulary: every word that can occur.
    """
    spelled = {tuple(pieces_of(tokenizer, word).ids): word for word in vocabulary}

    def relevance(forward_pass: ForwardPass) -> Relevance:
        values = torch.zeros(*forward_pass.content_mask.shape)
        for row, groups in enumerate(forward_pass.words):
            ids = forward_pass.inputs[row].tolist()
            words = [spelled[tuple(ids[i] for i in pieces)] for pieces in groups]
            for pieces, value in zip(groups, rule(words), strict=True):
                values[row, list(pieces)] = value / len(pieces)
        repeated = values[:, None].repeat(1, len(forward_pass.targets), 1)
        return Relevance(repeated, forward_pass.embedding)

    sides: tuple[Side, ...] = ("text",)
    return method(name, relevance, sides=sides, blocks_needed=last_block_only)
