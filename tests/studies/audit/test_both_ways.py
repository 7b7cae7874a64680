"""Every check is passed by one planted method and failed by another, on both of its sides.

The planted methods are told the truth or its opposite, so which verdict is right is known. The
model has a single head: the mean of its heads' attention is its attention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Literal

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import tiny
import whyclip
from approximate_toy import of_holes, of_nouns
from audit_toy import BLOB, GOOD, NAMES, Toy, planted
from toy_changes import FIRST_HEAD, Changeable, of_images, of_patches, of_texts
from whyclip.datasets.dataset import Sample
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import METHODS, Method, Relevance
from whyclip.methods.method import last_block_only
from whyclip.methods.perturb import without
from whyclip.studies.audit import CHECKS, Audit, Finding, audit
from whyclip.studies.audit.check import APPROXIMATION

# Shares and likenesses need so many samples that all agree to be sure of more than nine in ten, and
# every fourth image, where the model is wrong, must make up an interval of its own.
N, EDITED, SHUFFLED = 80, 64, 24
HALVES = {"left": (1.0, 1.0, 0.0, 0.0), "right": (0.0, 0.0, 1.0, 1.0)}
Truth = dict[bytes, bool]


@lru_cache(maxsize=1)
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts(head_width=tiny.WIDTH), name="one head")


class Ranked(Toy):
    """The labels are the model's two best prompts, and in every fourth picture the two worst."""

    def is_right(self, index: int) -> bool:
        return index % 4 > 0

    def sample(self, index: int) -> Sample:
        sample = super().sample(index)
        scores = whyclip.explain(view(), sample.image, PROMPTS, method="random").scores
        order = scores.argsort(descending=self.is_right(index)).tolist()
        labels = tuple(NAMES[i] for i in order[:2])
        masks = dict(zip(labels, sample.masks.values(), strict=True)) if sample.masks else None
        return replace(
            sample, labels=labels, prompts=tuple(PROMPTS[i] for i in order[:2]), masks=masks
        )


PROMPTS = [f"a photo of a {name}." for name in NAMES]


def truth_of(data: Ranked) -> Truth:
    """For each picture, by what the model is given, whether the model is right."""
    return {
        view().preprocess(s.image).numpy().tobytes(): data.is_right(i) for i, s in enumerate(data)
    }


def opposite(method: Method) -> Method:
    def relevance(forward_pass: ForwardPass) -> Relevance:
        result = method.relevance(forward_pass)
        return replace(result, values=-result.values)

    return replace(method, name=f"{method.name}_opposite", relevance=relevance)


def located(truth: Truth, *, where_right: bool) -> Method:
    """Its maps lie on the object exactly where the model is right, or exactly where it is wrong.

    The first object is on the left, the second on the right; the distractor's map is even.
    """

    def relevance(forward_pass: ForwardPass) -> Relevance:
        right = truth[forward_pass.inputs[0].cpu().numpy().tobytes()]
        sides = ["left", "right"] if right == where_right else ["right", "left"]
        gh, _ = forward_pass.stream.grid or (1, 1)
        values = torch.full((1, len(forward_pass.targets), forward_pass.content_mask.shape[1]), 0.5)
        for prompt, side in enumerate(sides):
            values[0, prompt, forward_pass.content_mask[0]] = torch.tensor(HALVES[side]).repeat(gh)
        return Relevance(values, forward_pass.embedding)

    return planted(f"located_{where_right}", relevance)


def computed(kind: Literal["same", "negated"]) -> Method:
    """It explains the model, or one that says the opposite; its gap is none, or half the score."""
    same = kind == "same"

    def relevance(forward_pass: ForwardPass) -> Relevance:
        score = forward_pass.targets.score(forward_pass.embedding)
        return Relevance(
            drawn(forward_pass, 0),
            forward_pass.embedding if same else -forward_pass.embedding,
            () if same else ("the embedding is negated",),
            {"additivity gap": 0 * score if same else -0.5 * score.abs()},
        )

    claims: dict[str, Any] = {"sums_to": "the score", "sides": ("image", "text")}
    weights = attended if same else misled
    return planted(
        f"computed_{kind}",
        relevance,
        readout_weights=weights,
        blocks_needed=last_block_only,
        **claims,
    )


def drawn(forward_pass: ForwardPass, seed: int) -> Tensor:
    shape = (
        len(forward_pass.inputs),
        len(forward_pass.targets),
        forward_pass.content_mask.shape[1],
    )
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def attended(forward_pass: ForwardPass, options: Mapping[str, Any]) -> Tensor:
    return METHODS["raw_attention"].relevance(forward_pass).values[:, 0]


def misled(forward_pass: ForwardPass, options: Mapping[str, Any]) -> Tensor:
    """All weight on the token by which the distractor comes out best beside the labels."""
    tower, row = forward_pass.tower, forward_pass.stream.readout_index[0]
    block, x = tower.blocks[-1], forward_pass.states[len(tower.blocks) - 1]
    read = block.qkv(x)[2][0].transpose(0, 1).flatten(1)
    ends = tower.project(block.finish(x[0, row].expand(len(read), -1), block.merge(read)))
    scores = forward_pass.targets.score(ends)
    worst = (scores[:, :2].mean(1) - scores[:, 2]).argmin()
    return F.one_hot(worst, len(read))[None].float()


def of_weights(forward_pass: ForwardPass) -> Relevance:
    """Of any other model than the one that is audited it says the opposite."""
    is_original = forward_pass.tower is view().image or forward_pass.tower is view().text
    values = drawn(forward_pass, 0)
    return Relevance(values if is_original else -values, forward_pass.embedding)


def by_itself(forward_pass: ForwardPass) -> Relevance:
    """The score of each word when it is all that is written."""
    values = drawn(forward_pass, 0) * 0
    for i, words in enumerate(forward_pass.words):
        for word in words:
            others = tuple(piece for other in words if other != word for piece in other)
            left = forward_pass.encode_perturbed(
                without(forward_pass.inputs[i], others, forward_pass.pad)[None]
            )
            values[i, :, list(word)] = (forward_pass.targets.score(left).T / len(word)).detach()
    return Relevance(values, forward_pass.embedding)


FOLLOWS = planted("of_weights", of_weights, sides=("image", "text"))
ALONE = planted("by_itself", by_itself, sides=("text",))
ON, OFF = "located_True", "located_False"
SAME, NEGATED = "computed_same", "computed_negated"
MASKING, NOT_MASKING = "by_masking", "by_masking_opposite"
WORDS, NOT_WORDS = "leave_one_out", "leave_one_out_opposite"
BOTH = ("image", "text")
HEADS = "exchanged_heads"

# By check and side, who passes and who fails.
PLANTED: dict[tuple[str, str], tuple[str, str]] = {
    **{
        (check, side): (SAME, NEGATED)
        for check in ("accuracy", "best_prompt", "completeness", "computation", "score_gap")
        for side in BOTH
    },
    **{("scope", side): ("contribution", "raw_attention") for side in BOTH},
    ("spatial_weights", "image"): (SAME, NEGATED),
    ("localisation_true", "image"): (ON, OFF),
    ("localisation_predicted", "image"): (ON, OFF),
    ("prompts_follow", "image"): (ON, OFF),
    ("prompts_differ", "image"): (ON, "centre_blob"),
    ("shuffled_weights", "image"): ("of_weights", SAME),
    ("shuffled_weights", "text"): ("of_weights", SAME),
    **{
        (check, "image"): (MASKING, NOT_MASKING)
        for check in ("deletion", "insertion", "patch_masked", "patch_blurred")
    },
    ("word_removal", "text"): (WORDS, NOT_WORDS),
    ("deletion", "text"): (WORDS, "by_itself_opposite"),
    ("insertion", "text"): ("by_itself", "by_itself_opposite"),
    **{
        (check, "image"): ("told_removed", "told_removed_opposite")
        for check in (
            "removed_objects",
            "exchanged_prompts",
            "interaction",
            "empty_places",
        )
    },
    **{
        (check, "image"): ("told_patches", "told_patches_opposite")
        for check in ("deletion_background", "insertion_background")
    },
    ("recoloured_objects", "image"): ("told_recoloured", "told_recoloured_opposite"),
    ("recoloured_objects", "text"): ("told_words", "told_words_opposite"),
    ("exchanged_words", "text"): ("told_words", "told_words_opposite"),
    **{("exchanged_heads", side): ("first_head", SAME) for side in BOTH},
    ("inpainted_objects", "image"): ("told_holes", "told_holes_opposite"),
    ("absent_classes", "image"): ("told_holes", "told_holes_opposite"),
    ("absent_nouns", "text"): ("told_nouns", "told_nouns_opposite"),
}
CHANGING = [name for name, check in CHECKS.items() if "interventions" in check.needs]
ROUGH = [name for name, check in CHECKS.items() if check.caveat.startswith(APPROXIMATION)]
EDITING = [
    name
    for name, check in CHECKS.items()
    if set(check.asks) - {"spatial", "heads"} and name not in {*CHANGING, *ROUGH}
]


@lru_cache(maxsize=1)
def of_many() -> Audit:
    data = Ranked(N)
    truth = truth_of(data)
    methods = [
        *(located(truth, where_right=right) for right in (True, False)),
        computed("same"),
        computed("negated"),
        BLOB,
        *(METHODS[name] for name in ("contribution", "raw_attention")),
    ]
    cheap = [name for name in CHECKS if name not in {*EDITING, *CHANGING, *ROUGH, HEADS}]
    return audit(view(), data, methods, cheap, limit=N)


@lru_cache(maxsize=1)
def of_edited() -> Audit:
    words = METHODS["leave_one_out"]
    methods = [GOOD, opposite(GOOD), words, opposite(words), ALONE, opposite(ALONE)]
    checks = [name for name in EDITING if name != "shuffled_weights"]
    return audit(view(), Ranked(EDITED), methods, checks, limit=EDITED, edited=EDITED)


@lru_cache(maxsize=1)
def of_shuffled() -> Audit:
    return audit(
        view(), Ranked(SHUFFLED), [FOLLOWS, computed("same")], ["shuffled_weights"], limit=SHUFFLED
    )


@lru_cache(maxsize=1)
def of_changed() -> Audit:
    data = Changeable(N)
    image_methods = [of_images(view(), data, kind) for kind in ("removed", "recoloured")]
    methods = [*image_methods, of_patches(view()), of_texts(view(), data)]
    every = [*methods, *map(opposite, methods)]
    return audit(view(), data, every, CHANGING, limit=N, edited=EDITED)


@lru_cache(maxsize=1)
def of_rough() -> Audit:
    # In half of the images no object speaks for its prompt more than for an absent one.
    data = Changeable(N + 30)
    methods = [of_holes(view(), data), of_nouns(view(), data)]
    return audit(view(), data, [*methods, *map(opposite, methods)], ROUGH, limit=N + 30)


@lru_cache(maxsize=1)
def of_heads() -> Audit:
    model = whyclip.wrap(*tiny.openclip_parts(), name="four heads")
    given = [FIRST_HEAD, computed("same")]
    return audit(model, Toy(SHUFFLED), given, ["exchanged_heads"], limit=SHUFFLED)


def finding_of(method: str, check: str, side: Any) -> Finding:
    run = of_shuffled if check == "shuffled_weights" else of_edited if check in EDITING else of_many
    run = of_changed if check in CHANGING else of_heads if check == HEADS else run
    run = of_rough if check in ROUGH else run
    finding = run().finding(method, check, side)
    assert finding is not None
    return finding


def test_every_check_and_side_has_its_planted_methods() -> None:
    assert set(PLANTED) == {(name, side) for name, check in CHECKS.items() for side in check.sides}


@pytest.mark.parametrize(("check", "side"), PLANTED)
def test_one_passes_and_one_fails(check: str, side: Any) -> None:
    passes, fails = (finding_of(name, check, side) for name in PLANTED[check, side])
    assert passes.verdict == "pass", passes
    assert fails.verdict == "fail", fails


def test_the_values_are_those_of_what_was_planted() -> None:
    # Maps are drawn between the centres of patches, so a sixteenth of a half lies on the other.
    on = 15 / 16
    expected = {
        ("localisation_true", ON): 2 * on - 1,
        ("localisation_true", OFF): 1 - 2 * on,
        ("localisation_predicted", ON): on - 0.5,
        ("localisation_predicted", OFF): 0.5 - on,
        # Three quarters of the pictures are right.
        ("prompts_follow", ON): on - 0.5,
        ("prompts_follow", OFF): 0.5 - on,
        ("best_prompt", SAME): 1.0,
        ("best_prompt", NEGATED): 0.0,
        ("accuracy", SAME): 0.0,
        ("accuracy", NEGATED): -0.5,
        ("completeness", SAME): 0.0,
        ("completeness", NEGATED): 0.5,
        ("spatial_weights", SAME): 0.0,
    }
    for (check, method), value in expected.items():
        interval = finding_of(method, check, "image").value
        assert interval is not None
        assert interval.mean == pytest.approx(value, abs=1e-5), (check, method)
        assert interval.low <= interval.mean <= interval.high
