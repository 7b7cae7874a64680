"""Additivity of maps over words: the map of a prompt compared with the sum of its parts' maps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from whyclip.api import compare
from whyclip.datasets.dataset import Sample
from whyclip.encoded_prompts import encode_prompts
from whyclip.errors import InputError
from whyclip.methods import METHODS
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import histogram
from whyclip.stats.correlation import pearson
from whyclip.studies.claims import is_above
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.measurements import Measurements

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = "grad_eclip, ReLU"
# Signed, because a ReLU would change the sum of two maps.
READERS: Mapping[str, str] = {
    PUBLISHED: "grad_eclip",
    "grad_eclip": "grad_eclip:relu=false",
    "contribution": "contribution",
    "maskclip": "maskclip",
    "random": "random",
}
TEXTS = "texts"
THINGS, WORDS = "two things: “a and b”", "one phrase: its words"
PREFIX = "a photo of "
SILENT = frozenset({"a", "an", "the", "of", "in", "on", "with", "and", "photo", "picture"})


@dataclass(frozen=True)
class Whole:
    """A prompt with the parts whose maps are added, and unrelated parts."""

    kind: str
    prompt: str
    parts: tuple[str, ...]
    others: tuple[str, ...]


def composition(setting: ExperimentInput, *, bound: float = 0.9) -> ExperimentResult:
    """Correlate, over patches, the map of a whole prompt with the sum of its parts' maps.

    Args:
        setting: model and samples.
        bound: lowest correlation for additive maps.

    Raises:
        InputError: no prompt has two parts.
    """
    # Keys: kind, method (TEXTS for the embeddings of the prompts), and correlated quantity.
    rows = Measurements()
    samples = list(setting.samples("reading"))
    number = 0
    for place, sample in enumerate(setting.samples("explaining")):
        for whole in _wholes(sample, samples[place + 1 :] + samples[:place]):
            number += 1
            for reader, maps in _maps(setting, sample, whole).items():
                for name, value in _correlated(whole, maps).items():
                    rows.add((whole.kind, reader, name), sample.image_id, [value])
            prompts = [whole.prompt, *whole.parts, *whole.others]
            directions = encode_prompts(setting.model, prompts).targets().directions
            for name, value in _correlated_texts(whole, directions).items():
                rows.add((whole.kind, TEXTS, name), sample.image_id, [value])
    if not number:
        raise InputError(
            f"no prompt of {setting.data or 'this dataset'} has two parts, and no image has two "
            "labels; use scenes:200 or COCO"
        )
    kinds = [kind for kind in (THINGS, WORDS) if (kind, PUBLISHED, "parts") in rows]
    findings = []
    for kind in kinds:
        whole_and_parts = (kind, PUBLISHED, "parts")
        claim = f"Maps follow the parts ({kind})"
        difference = rows.difference(whole_and_parts, (kind, PUBLISHED, "others"))
        findings.append(
            is_above(
                claim,
                "correlation with the sum of the parts minus correlation with unrelated parts",
                difference,
                0,
            )
        )
        claim = f"Maps are additive ({kind})"
        mean = rows.interval(whole_and_parts)
        findings.append(is_above(claim, "correlation with the sum of the parts", mean, bound))
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
        tuple(_row(kind, reader, rows) for kind in kinds for reader in READERS),
        "Pearson correlation over patches, mean over whole prompts with its 95 % interval; images "
        f"are resampled as groups. “Additive” requires {bound:g}, a convention of this page. "
        f"Methods are signed; {PUBLISHED} is the published form.",
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
                "parts": rows.interval((kind, TEXTS, "parts")),
                "others": rows.interval((kind, TEXTS, "others")),
            }
            for kind in kinds
        ),
        "Signed Grad-ECLIP and contribution are linear in the text embedding. Their maps are "
        "therefore not additive only because this cosine is below 1: the embedding of “a and b” "
        "differs from the sum of the embeddings of a and b.",
    )
    picture = Picture(
        _figure(rows, kinds[0]),
        "Histogram of the correlations of whole and parts",
        f"{PUBLISHED}, {kinds[0]}: each whole's correlation with the sum of its parts' maps, and "
        "with the sum of unrelated parts' maps.",
    )
    return ExperimentResult(findings, [table, picture, language], {"wholes": str(number)})


_FITTED = (
    "share of the map's variance over patches that the parts' maps explain with the best-fitting "
    "weights instead of equal weights."
)


def joined(one: str, other: str) -> str:
    """Join two prompts with "and", keeping a common "a photo of" only once.

    Example:
        >>> joined("a red car", "a dog"), joined("a photo of a cat.", "a photo of a dog.")
        ('a red car and a dog', 'a photo of a cat and a dog')
    """
    one, other = one.strip().rstrip("."), other.strip().rstrip(".")
    if one.lower().startswith(PREFIX) and other.lower().startswith(PREFIX):
        other = other[len(PREFIX) :]
    return f"{one} and {other}"


def content_words(prompt: str) -> tuple[str, ...]:
    """List the distinct content words of a prompt.

    Example:
        >>> content_words("a photo of a red car.")
        ('red', 'car')
    """
    words = re.findall(r"[\w'-]+", prompt)
    return tuple(dict.fromkeys(word for word in words if word.lower() not in SILENT))


def _wholes(sample: Sample, others: Sequence[Sample]) -> Iterator[Whole]:
    """Whole prompts of one sample; unrelated parts come from the following samples."""
    absent = [
        prompt
        for other in others
        for label, prompt in zip(other.labels, other.prompts, strict=True)
        if label not in sample.labels
    ]
    if len(sample.prompts) > 1 and len(absent) > 1:
        one, two = sample.prompts[:2]
        yield Whole(THINGS, joined(one, two), (one, two), tuple(absent[:2]))
    present = {word for prompt in sample.prompts for word in content_words(prompt)}
    named = (word for prompt in absent for word in content_words(prompt))
    strange = list(dict.fromkeys(word for word in named if word not in present))
    for prompt in sample.prompts:
        words = content_words(prompt)
        if len(words) > 1 and len(strange) >= len(words):
            yield Whole(WORDS, prompt, words, tuple(strange[: len(words)]))


def _maps(setting: ExperimentInput, sample: Sample, whole: Whole) -> dict[str, Tensor]:
    """Maps ``[1 + parts + others, patches]`` by method."""
    prompts = [whole.prompt, *whole.parts, *whole.others]
    explanations = compare(setting.model, [sample.source], prompts, READERS, sides=("image",))
    maps = {}
    for reader, (explanation,) in explanations.items():
        assert explanation.maps is not None, "the image side is explained"
        maps[reader] = explanation.maps.flatten(1)
    return maps


def _correlated(whole: Whole, maps: Tensor) -> dict[str, float]:
    whole_map, parts, others = _split(whole, maps)
    return {
        "parts": float(pearson(whole_map, parts.sum(0))),
        "one": max(float(pearson(whole_map, part).nan_to_num(-1)) for part in parts),
        "others": float(pearson(whole_map, others.sum(0))),
        "fitted": explained_share(whole_map.double().numpy(), parts.double().numpy()),
    }


def _correlated_texts(whole: Whole, directions: Tensor) -> dict[str, float]:
    whole_direction, parts, others = _split(whole, directions)
    return {
        "parts": float(F.cosine_similarity(whole_direction, parts.sum(0), dim=-1)),
        "others": float(F.cosine_similarity(whole_direction, others.sum(0), dim=-1)),
    }


def _split(whole: Whole, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    k = len(whole.parts)
    return rows[0], rows[1 : 1 + k], rows[1 + k :]


def explained_share(whole: np.ndarray, parts: np.ndarray) -> float:
    """Share of a row's variance ``[p]`` explained by rows ``[k, p]`` and a constant, 0 to 1.

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


def _row(kind: str, reader: str, rows: Measurements) -> dict[str, object]:
    title = METHODS[reader].title if reader in METHODS else "Grad-ECLIP, ReLU"
    names = ("parts", "one", "others", "fitted")
    return {
        "kind": kind,
        "method": title,
        "n": len(rows[kind, reader, "parts"]),
        **{name: rows.interval((kind, reader, name)) for name in names},
    }


def _figure(rows: Measurements, kind: str) -> Figure:
    return histogram(
        {
            "sum of its parts": rows[kind, PUBLISHED, "parts"].values,
            "sum of unrelated parts": rows[kind, PUBLISHED, "others"].values,
        },
        np.linspace(-1, 1, 41).tolist(),
        x=f"correlation with the map of the whole ({kind})",
        y="wholes",
        mark=float("nan"),
    )


EXPERIMENT = Experiment(
    name="composition",
    title="Additivity of maps over words",
    claim=(
        "The map of a prompt with several words is composed of the maps of its words: the map of "
        "“a red car and a dog” is about the sum of the maps of “a red car” and “a dog”."
    ),
    source="Zhao et al., ICML 2024, arXiv 2502.18816, on decomposing and adding concepts",
    run=composition,
    defaults=Defaults(limit=60),
    cost="0.2 s",
    on_real_data=(
        "whyclip reproduce composition --data coco:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 500"
    ),
)
