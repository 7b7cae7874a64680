"""Are maps additive over words? The map of a whole prompt against the sum of its parts' maps."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from whyclip.api import compare
from whyclip.datasets.dataset import Sample
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import InputError
from whyclip.methods import METHODS
from whyclip.metrics import interval, paired_difference
from whyclip.report import Column, Picture, Table
from whyclip.reproduce.experiment import Defaults, Experiment, Findings, Setting
from whyclip.reproduce.verdict import is_above
from whyclip.stats.correlation import pearson

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = "grad_eclip, ReLU"
# Signed, so that the sum of two maps is not decided by what a ReLU took from each.
READERS: Mapping[str, str] = {
    PUBLISHED: "grad_eclip",
    "grad_eclip": "grad_eclip:relu=false",
    "contribution": "contribution",
    "maskclip": "maskclip",
    "random": "random",
}
THINGS, WORDS = "two things: “a and b”", "one phrase: its words"
PREFIX = "a photo of "
SILENT = frozenset({"a", "an", "the", "of", "in", "on", "with", "and", "photo", "picture"})


@dataclass(frozen=True)
class Whole:
    """A prompt, the parts whose maps are to be added, and parts that have nothing to do with it."""

    kind: str
    prompt: str
    parts: tuple[str, ...]
    others: tuple[str, ...]


@dataclass
class Correlations:
    """Over all wholes of one kind and one reader."""

    groups: list[str] = field(default_factory=list)
    parts: list[float] = field(default_factory=list)
    one: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    fitted: list[float] = field(default_factory=list)


def composition(setting: Setting, *, bound: float = 0.9) -> Findings:
    """Correlate, over patches, the map of a whole prompt with the sum of its parts' maps.

    Args:
        setting: model and samples.
        bound: the correlation from which on maps are called additive.

    Raises:
        InputError: no prompt has two parts.
    """
    found: dict[tuple[str, str], Correlations] = defaultdict(Correlations)
    texts: dict[tuple[str, str], Correlations] = defaultdict(Correlations)
    samples = list(setting.samples("reading"))
    number = 0
    for place, sample in enumerate(setting.samples("explaining")):
        for whole in _wholes(sample, samples[place + 1 :] + samples[:place]):
            number += 1
            for reader, maps in _maps(setting, sample, whole).items():
                _correlate(found[whole.kind, reader], whole, sample.image_id, maps)
            prompts = [whole.prompt, *whole.parts, *whole.others]
            directions = encode_prompts(setting.model, prompts).targets().directions
            _correlate_texts(texts[whole.kind, "text"], whole, sample.image_id, directions)
    if not number:
        raise InputError(
            f"no prompt of {setting.data or 'this dataset'} has two parts, nor has any picture two "
            "labels; scenes:200, or COCO, has both"
        )
    kinds = [kind for kind in (THINGS, WORDS) if (kind, PUBLISHED) in found]
    verdicts = []
    for kind in kinds:
        one = found[kind, PUBLISHED]
        claim = f"Maps follow the parts ({kind})"
        difference = paired_difference(one.parts, one.others, groups=one.groups)
        verdicts.append(
            is_above(
                claim,
                "correlation with the sum of the parts, less that with unrelated parts,",
                difference,
                0,
            )
        )
        claim = f"Maps are additive ({kind})"
        mean = interval(one.parts, groups=one.groups)
        verdicts.append(is_above(claim, "correlation with the sum of the parts", mean, bound))
    table = Table(
        "The map of a whole against the maps of its parts",
        (
            Column("kind", "prompt"),
            Column("method"),
            Column("n", "wholes"),
            Column("parts", "sum of parts", better="higher"),
            Column("one", "best single part"),
            Column("others", "unrelated parts"),
            Column("fitted", "variance explained", help=_FITTED),
        ),
        tuple(_row(kind, reader, c) for (kind, reader), c in _ordered(found, kinds)),
        "Pearson correlation over patches, mean of the wholes with its 95 % interval; pictures are "
        f"drawn anew as groups. “Additive” asks for {bound:g}, a convention of this page. Methods "
        f"are signed; {PUBLISHED} is the published form.",
    )
    language = Table(
        "The same for the texts' embeddings",
        (
            Column("kind", "prompt"),
            Column("parts", "cosine with the sum of parts"),
            Column("others", "with unrelated parts"),
        ),
        tuple(
            {
                "kind": kind,
                "parts": interval(c.parts, groups=c.groups),
                "others": interval(c.others, groups=c.groups),
            }
            for (kind, _), c in texts.items()
        ),
        "Signed Grad-ECLIP and contribution are linear in the direction that a text has in the "
        "embedding space. What their maps lack in additivity is thus what this cosine lacks to 1: "
        "the text tower makes of “a and b” something else than the sum of a and b.",
    )
    image = Picture(
        _figure(found[kinds[0], PUBLISHED], kinds[0]),
        "Histogram of the correlations of whole and parts",
        f"{PUBLISHED}, {kinds[0]}: each whole's correlation with the sum of its parts' maps, and "
        "with the sum of unrelated parts' maps.",
    )
    return Findings(verdicts, [table, image, language], {"wholes": str(number)})


_FITTED = (
    "share of the map's variance over patches that the parts' maps explain with the weights that "
    "fit best, in place of equal ones."
)


def joined(one: str, other: str) -> str:
    """Join two prompts by "and", naming a common "a photo of" once.

    Example:
        >>> joined("a red car", "a dog"), joined("a photo of a cat.", "a photo of a dog.")
        ('a red car and a dog', 'a photo of a cat and a dog')
    """
    one, other = one.strip().rstrip("."), other.strip().rstrip(".")
    if one.lower().startswith(PREFIX) and other.lower().startswith(PREFIX):
        other = other[len(PREFIX) :]
    return f"{one} and {other}"


def content_words(prompt: str) -> tuple[str, ...]:
    """List the words of a prompt that name something, each once.

    Example:
        >>> content_words("a photo of a red car.")
        ('red', 'car')
    """
    words = re.findall(r"[\w'-]+", prompt)
    return tuple(dict.fromkeys(word for word in words if word.lower() not in SILENT))


def _wholes(sample: Sample, others: Sequence[Sample]) -> Iterator[Whole]:
    """What can be asked of one sample; what has nothing to do with it is from the next others."""
    absent = [
        prompt
        for other in others
        for label, prompt in zip(other.labels, other.prompts, strict=True)
        if label not in sample.labels
    ]
    if len(sample.prompts) > 1 and len(absent) > 1:
        one, two = sample.prompts[:2]
        yield Whole(THINGS, joined(one, two), (one, two), tuple(absent[:2]))
    own = {word for prompt in sample.prompts for word in content_words(prompt)}
    named = (word for prompt in absent for word in content_words(prompt))
    strange = list(dict.fromkeys(word for word in named if word not in own))
    for prompt in sample.prompts:
        words = content_words(prompt)
        if len(words) > 1 and len(strange) >= len(words):
            yield Whole(WORDS, prompt, words, tuple(strange[: len(words)]))


def _maps(setting: Setting, sample: Sample, whole: Whole) -> dict[str, Tensor]:
    """For each reader maps ``[1 + parts + others, patches]``."""
    prompts = [whole.prompt, *whole.parts, *whole.others]
    found = compare(setting.model, [sample.source], prompts, READERS, sides=("image",))
    maps = {}
    for reader, (explanation,) in found.items():
        assert explanation.maps is not None, "the image side was asked for"
        maps[reader] = explanation.maps.flatten(1)
    return maps


def _correlate(into: Correlations, whole: Whole, group: str, maps: Tensor) -> None:
    own, parts, others = _split(whole, maps)
    into.groups.append(group)
    into.parts.append(float(pearson(own, parts.sum(0))))
    into.one.append(max(float(pearson(own, part).nan_to_num(-1)) for part in parts))
    into.others.append(float(pearson(own, others.sum(0))))
    into.fitted.append(explained_share(own.double().numpy(), parts.double().numpy()))


def _correlate_texts(into: Correlations, whole: Whole, group: str, directions: Tensor) -> None:
    own, parts, others = _split(whole, directions)
    into.groups.append(group)
    into.parts.append(float(F.cosine_similarity(own, parts.sum(0), dim=-1)))
    into.others.append(float(F.cosine_similarity(own, others.sum(0), dim=-1)))


def _split(whole: Whole, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    k = len(whole.parts)
    return rows[0], rows[1 : 1 + k], rows[1 + k :]


def explained_share(whole: np.ndarray, parts: np.ndarray) -> float:
    """Share of a row's variance ``[p]`` that rows ``[k, p]`` and a constant explain, 0 to 1.

    Example:
        >>> explained_share(np.array([1.0, 3.0, 5.0]), np.array([[0.0, 1.0, 2.0]]))
        1.0
    """
    spread = float(((whole - whole.mean()) ** 2).sum())
    if spread == 0:
        return float("nan")
    rows = np.vstack([parts, np.ones_like(whole)]).T
    weights = np.linalg.lstsq(rows, whole, rcond=None)[0]
    return round(1 - float(((whole - rows @ weights) ** 2).sum()) / spread, 12)


def _ordered(
    found: Mapping[tuple[str, str], Correlations], kinds: Sequence[str]
) -> Iterator[tuple[tuple[str, str], Correlations]]:
    for kind in kinds:
        for reader in READERS:
            yield (kind, reader), found[kind, reader]


def _row(kind: str, reader: str, c: Correlations) -> dict[str, object]:
    title = METHODS[reader].title if reader in METHODS else "Grad-ECLIP, ReLU"
    return {
        "kind": kind,
        "method": title,
        "n": len(c.parts),
        "parts": interval(c.parts, groups=c.groups),
        "one": interval(c.one, groups=c.groups),
        "others": interval(c.others, groups=c.groups),
        "fitted": interval(c.fitted, groups=c.groups),
    }


def _figure(c: Correlations, kind: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots()
    bins = np.linspace(-1, 1, 41).tolist()
    axes.hist(c.parts, bins, alpha=0.85, label="sum of its parts")
    axes.hist(c.others, bins, alpha=0.6, label="sum of unrelated parts")
    axes.set_xlabel(f"correlation with the map of the whole ({kind})")
    axes.set_ylabel("wholes")
    axes.legend(frameon=False)
    return figure


EXPERIMENT = Experiment(
    name="composition",
    title="Are maps additive over words?",
    claim=(
        "What a prompt of several words highlights is put together from what its words highlight: "
        "the map of “a red car and a dog” is about the sum of the maps of “a red car” and “a dog”."
    ),
    source="Zhao et al., ICML 2024, arXiv 2502.18816, on taking concepts apart and adding them",
    run=composition,
    defaults=Defaults(limit=60),
    cost="0.2 s",
    on_real_data=(
        "whyclip reproduce composition --data coco:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 500"
    ),
)
