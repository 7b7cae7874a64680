"""References: places and sentences, by plain loops; files, and what is refused."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import tiny
import whyclip
from whyclip import lexicon
from whyclip.errors import ImageError, OptionError, OutputError, PromptError, UnsupportedModelError
from whyclip.match import Match, Standing, match_of, match_to_json, share
from whyclip.models import ModelView

PROMPTS = ["a dog", "a cat", "a red car", "a tree", "water", "a house"]


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


IMAGES = [noise(seed) for seed in range(30)]


@pytest.fixture(scope="module")
def view() -> ModelView:
    return whyclip.wrap(*tiny.openclip_parts(), name="tiny")


@pytest.fixture(scope="module")
def ref(view: ModelView) -> whyclip.Reference:
    return whyclip.reference(view, IMAGES, PROMPTS, nonsense=["zxqv", "blorf"], rate=0.1)


def score(view: ModelView, image: Image.Image, prompt: Any, against: Any = None) -> float:
    return float(whyclip.explain(view, image, [prompt], against=against).scores[0])


def place(value: float, others: list[float]) -> tuple[float, float]:
    """Percentile and z, number by number."""
    percent = 100 * sum((o < value) + 0.5 * (o == value) for o in others) / len(others)
    mean = sum(others) / len(others)
    deviation = (sum((o - mean) ** 2 for o in others) / len(others)) ** 0.5
    return percent, (value - mean) / deviation


@pytest.mark.parametrize("against", [None, "a house"])
def test_places_in_both_directions_are_those_of_scores_one_by_one(
    view: ModelView, ref: whyclip.Reference, against: str | None
) -> None:
    image, prompts = noise(99), ["A dog.", ["a big bird", "a small bird"]]
    ex = whyclip.explain(view, image, prompts, against=against, reference=ref)
    for prompt, match in zip(prompts, ex.matches, strict=True):
        value = score(view, image, prompt, against)
        # The prompt itself is not one of its competitors, however it is written.
        listed = [p for p in PROMPTS if p != "a dog" or prompt != "A dog."]
        by_prompt = {p: score(view, image, p, against) for p in listed}
        percent, z = place(value, list(by_prompt.values()))
        assert match.score == pytest.approx(value, abs=1e-5)
        assert match.among_prompts is not None
        assert match.among_prompts.n == len(listed)
        assert match.among_prompts.percentile == pytest.approx(percent)
        assert match.among_prompts.z == pytest.approx(z, abs=0.03)
        best = sorted(by_prompt, key=lambda p: -by_prompt[p])[:5]
        assert [text for text, _ in match.competitors] == best
        assert dict(match.competitors)[best[0]] == pytest.approx(by_prompt[best[0]], abs=1e-3)
        by_image = [score(view, other, prompt, against) for other in IMAGES]
        percent, z = place(value, by_image)
        assert match.among_images is not None
        assert match.among_images.percentile == pytest.approx(percent)
        assert match.among_images.z == pytest.approx(z, abs=0.03)
        assert match.threshold is not None
        # ⌊0.1 · 31⌋ = 3: the third largest.
        assert match.threshold.score == pytest.approx(sorted(by_image)[-3], abs=1e-3)
        nonsense = {p: score(view, image, p, against) for p in ("zxqv", "blorf")}
        assert match.nonsense is not None
        assert match.nonsense[0] == max(nonsense, key=lambda p: nonsense[p])


def test_images_and_directions_are_not_placed_among_prompts(
    view: ModelView, ref: whyclip.Reference
) -> None:
    [match] = whyclip.explain(view, noise(99), [noise(98)], reference=ref).matches
    assert match.among_prompts is None
    assert match.competitors == ()
    assert match.among_images is not None
    [match] = whyclip.explain(view, noise(99), torch.ones(1, 24), reference=ref).matches
    assert match.among_prompts is None


def test_every_function_that_explains_gives_the_same_matches(
    view: ModelView, ref: whyclip.Reference, tmp_path: Path
) -> None:
    images, file = [noise(97), noise(96)], ref.save(tmp_path / "ref.npz")
    expected = [ex.matches for ex in whyclip.explain(view, images, PROMPTS[:2], reference=ref)]
    assert len(expected[0]) == 2
    iterated = whyclip.explain_iter(view, images, PROMPTS[:2], reference=str(file))
    assert [ex.matches for ex in iterated] == expected
    compared = whyclip.compare(view, images, PROMPTS[:2], ["maskclip"], reference=file)
    assert [ex.matches for ex in compared["maskclip"]] == expected
    assert whyclip.explain(view, images[0], PROMPTS[:2]).matches == ()


def test_a_file_comes_back_the_same(ref: whyclip.Reference, tmp_path: Path) -> None:
    back = whyclip.load_reference(ref.save(tmp_path / "ref.npz"))
    for name in ("model", "fingerprint", "geometry", "prompts", "nonsense", "images", "rate"):
        assert getattr(back, name) == getattr(ref, name)
    assert back.text_embeddings.equal(ref.text_embeddings)
    assert back.image_embeddings.equal(ref.image_embeddings)
    assert back.image_embeddings.dtype == torch.float16


def test_an_explanation_keeps_its_matches_in_files_and_slices(
    view: ModelView, ref: whyclip.Reference, tmp_path: Path
) -> None:
    ex = whyclip.explain(view, noise(99), PROMPTS[:3], reference=ref)
    for ending in (".json", ".npz", ".safetensors"):
        assert whyclip.load_explanation(ex.save(tmp_path / f"x{ending}")).matches == ex.matches
    assert ex[1].matches == ex.matches[1:2]
    record = json.loads((tmp_path / "x.json").read_text())["prompts"][0]["match"]
    assert record["sentence"] == ex.matches[0].sentence
    assert match_of(match_to_json(ex.matches[0])) == ex.matches[0]
    assert (
        "match"
        not in json.loads(
            whyclip.explain(view, noise(99), "a dog").save(tmp_path / "y.json").read_text()
        )["prompts"][0]
    )


def test_another_model_or_geometry_is_refused_in_one_sentence(ref: whyclip.Reference) -> None:
    other = whyclip.wrap(*tiny.openclip_parts(seed=1), name="other")
    with pytest.raises(OptionError, match="other weights .of 'tiny'. than those of 'o"):
        whyclip.explain(other, noise(0), "a dog", reference=ref)
    same = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    with pytest.raises(OptionError, match="geometry 'model', but the image is explained with 'pad"):
        whyclip.explain(same, noise(0), "a dog", reference=ref, geometry="pad")
    with pytest.raises(OptionError, match="other weights"):
        ref.threshold(other, "a dog")


def test_weights_that_changed_are_another_model(ref: whyclip.Reference) -> None:
    view = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    assert isinstance(view.module, nn.Module)
    with torch.no_grad():
        next(view.module.parameters()).add_(1e-3)
    with pytest.raises(OptionError, match="other weights"):
        ref.check(view)


def test_a_threshold_of_any_prompt_and_rate(view: ModelView, ref: whyclip.Reference) -> None:
    scores = sorted(score(view, image, "a bird") for image in IMAGES)
    limit = ref.threshold(view, "a bird", rate=0.2, confidence=0.9)
    # ⌊0.2 · 31⌋ = 6.
    assert limit.score == pytest.approx(scores[-6], abs=1e-3)
    assert (limit.n, limit.confidence) == (30, 0.9)
    with pytest.raises(OptionError, match="needs at least 99 reference images"):
        ref.threshold(view, "a bird", rate=0.01)
    for wrong in (0, 1.5):
        with pytest.raises(OptionError, match="confidence"):
            ref.threshold(view, "a bird", confidence=wrong)


def test_sigmoid_models_also_give_probabilities() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    model.logit_bias = nn.Parameter(torch.tensor(-2.0))
    view = whyclip.wrap(model, preprocess, tokenizer, name="sigmoid")
    ref = whyclip.reference(view, IMAGES, PROMPTS, rate=0.1)
    [match] = whyclip.explain(view, noise(99), "a dog", reference=ref).matches
    scale = float(model.logit_scale.detach().exp())
    probability = 1 / (1 + np.exp(-(scale * match.score - 2.0)))
    assert match.probability == pytest.approx(probability, rel=1e-4)
    assert match.threshold is not None
    limit = 1 / (1 + np.exp(-(scale * match.threshold.score - 2.0)))
    assert match.threshold.probability == pytest.approx(limit, rel=1e-4)
    [difference] = whyclip.explain(view, noise(99), "a dog", against="a cat", reference=ref).matches
    assert difference.probability is None
    assert difference.threshold is not None
    assert difference.threshold.probability is None


def test_one_direction_alone(view: ModelView) -> None:
    prompts_only = whyclip.reference(view, None, PROMPTS)
    [match] = whyclip.explain(view, noise(99), "a bird", reference=prompts_only).matches
    assert match.among_images is None
    assert match.threshold is None
    images_only = whyclip.reference(view, IMAGES[:5], [])
    [match] = whyclip.explain(view, noise(99), "a bird", reference=images_only).matches
    assert match.among_prompts is None
    # Five images are too few for a rate of 5 %.
    assert match.threshold is None
    assert match.verdict == ""


def test_images_from_folders_patterns_and_datasets(view: ModelView, tmp_path: Path) -> None:
    for index in range(3):
        IMAGES[index].save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("no image")
    expected = whyclip.reference(view, IMAGES[:3], ["a dog"]).image_embeddings
    for given in (tmp_path, str(tmp_path / "*.png"), sorted(tmp_path.glob("*.png"))):
        read = whyclip.reference(view, given, ["a dog"])
        assert read.images == ("0.png", "1.png", "2.png")
        assert read.image_embeddings.equal(expected)
    scenes = whyclip.open_dataset("scenes:2")
    drawn = whyclip.reference(view, scenes, ["a dog"])
    reference = whyclip.reference(view, [sample.image for sample in scenes], ["a dog"])
    assert drawn.image_embeddings.equal(reference.image_embeddings)
    assert drawn.images == tuple(sample.id for sample in scenes)


def test_the_shipped_lists(view: ModelView) -> None:
    nouns = lexicon.nouns()
    assert len(nouns) == len(set(nouns)) >= 1000
    assert {"a dog", "an apple", "water", "a unicorn", "an hourglass"} <= set(nouns)
    assert len(lexicon.nonsense()) >= 15
    assert not set(lexicon.nonsense()) & set(nouns)
    assert all(text == text.strip() and text for text in (*nouns, *lexicon.nonsense()))
    ref = whyclip.reference(view, template="a photo of {}.")
    assert ref.prompts[0] == "a photo of a dog."
    assert len(ref.prompts) == len(nouns)
    [match] = whyclip.explain(view, noise(1), "a dog", reference=ref).matches
    assert "everyday words" in match.sentence


WRONG = {
    "images": (lambda v: whyclip.reference(v, 5), ImageError),
    "no image": (lambda v: whyclip.reference(v, []), ImageError),
    "no folder": (lambda v: whyclip.reference(v, "no-such-folder"), ImageError),
    "prompts": (lambda v: whyclip.reference(v, None, "a dog"), PromptError),
    "empty prompt": (lambda v: whyclip.reference(v, None, ["a dog", " "]), PromptError),
    "nothing": (lambda v: whyclip.reference(v, None, []), OptionError),
    "template": (lambda v: whyclip.reference(v, None, ["x"], template="a photo"), OptionError),
    "rate": (lambda v: whyclip.reference(v, None, ["x"], rate=0), OptionError),
    "geometry": (lambda v: whyclip.reference(v, None, ["x"], geometry="round"), OptionError),
    "reference": (lambda v: whyclip.explain(v, noise(0), "a dog", reference=3), OptionError),
    "no file": (lambda v: whyclip.explain(v, noise(0), "a", reference="no.npz"), OutputError),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(name: str, view: ModelView) -> None:
    call, kind = WRONG[name]
    with pytest.raises(kind) as caught:
        call(view)
    assert "\n" not in str(caught.value)


def test_a_classifier_is_refused(view: ModelView) -> None:
    classifier = replace(view, classes=object())  # type: ignore[arg-type]
    with pytest.raises(UnsupportedModelError, match="classifier"):
        whyclip.reference(classifier, IMAGES)


def test_files_that_are_no_references_are_refused(tmp_path: Path, ref: whyclip.Reference) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.savez(tmp_path / "objects.npz", reference=np.array([{"a": 1}], dtype=object))
    cut = replace(ref, images=ref.images[:-1])
    cut.save(tmp_path / "cut.npz")
    for name in ("text", "other", "objects", "cut"):
        with pytest.raises(OutputError, match=f"{name}.npz' is not a reference"):
            whyclip.load_reference(tmp_path / f"{name}.npz")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps({"reference": 1}))
    with pytest.raises(OutputError, match="it is not an .npz archive; build it again"):
        whyclip.load_reference(tmp_path / "pickle.npz")
    with pytest.raises(OutputError, match="an .npz file"):
        ref.save(tmp_path / "ref.json")
    with pytest.raises(OutputError, match="no such folder"):
        ref.save(tmp_path / "no" / "ref.npz")


def standing(percentile: float, n: int) -> Standing:
    return Standing(percentile, 1.0, n, 0.0, 1.0)


@pytest.mark.parametrize(
    ("prompts", "images", "evidence", "sentence"),
    [
        (99.2, 60.0, "weak", "higher than 99.2 % of 1,000 everyday words for this image; higher "
         "than 60 % of 500 reference images for this prompt: weak evidence of a match"),
        (99.2, 40.0, "no", "higher than 99.2 % of 1,000 everyday words for this image; lower than "
         "60 % of 500 reference images for this prompt: no evidence of a match"),
        (99.98, 100.0, "strong", "higher than 99.9 % of 1,000 everyday words for this image; "
         "higher than 100 % of 500 reference images for this prompt: strong evidence of a match"),
        (96.0, 99.0, "moderate", "higher than 96 % of 1,000 everyday words for this image; higher "
         "than 99 % of 500 reference images for this prompt: moderate evidence of a match"),
    ],
)  # fmt: skip
def test_sentences(prompts: float, images: float, evidence: str, sentence: str) -> None:
    match = Match(0.3, standing(prompts, 1000), standing(images, 500), prompt_kind="everyday words")
    assert match.evidence == evidence
    assert match.sentence == sentence


DAMAGED: dict[str, tuple[dict[str, Any], str]] = {
    "a rate in words": ({"rate": "x"}, "rate 'x' is not between 0 and 1"),
    "no rate": ({"rate": float("nan")}, "rate nan is not between 0 and 1"),
    "a large rate": ({"rate": 7}, "rate 7 is not between 0 and 1"),
    "a geometry": ({"geometry": "round"}, "unknown geometry 'round'"),
    "a kind": ({"prompt_kind": 5}, "5 is not a name"),
    "zeros": ({"image_embeddings": lambda x: x * 0}, "does not have length 1"),
    "too long": ({"image_embeddings": lambda x: x * 7}, "does not have length 1"),
    "not a number": ({"text_embeddings": lambda x: x * float("nan")}, "does not have length 1"),
    "whole numbers": ({"image_embeddings": lambda x: x.int()}, "torch.int32 of shape"),
    "narrow": (
        {"image_embeddings": lambda x: torch.nn.functional.normalize(x[:, :5].float()).half()},
        "have widths",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_references_are_refused(name: str, tmp_path: Path, ref: whyclip.Reference) -> None:
    changes, message = DAMAGED[name]
    values = {k: v(getattr(ref, k)) if callable(v) else v for k, v in changes.items()}
    replace(ref, **values).save(tmp_path / "bad.npz")
    with pytest.raises(OutputError, match=f"is not a reference written by whyclip: .*{message}"):
        whyclip.load_reference(tmp_path / "bad.npz")


@pytest.mark.parametrize("option", ["rate", "confidence"])
def test_a_threshold_needs_numbers(option: str, view: ModelView, ref: whyclip.Reference) -> None:
    with pytest.raises(OptionError, match=f"{option}='x': give"):
        ref.threshold(view, "a dog", **{"rate": 0.4, option: "x"})  # type: ignore[arg-type]


def counted(n: int) -> Standing:
    return Standing(100.0, 1.0, n, 0.0, 1.0)


@pytest.mark.parametrize(
    ("prompts", "images", "evidence"),
    [(100, 20, "strong"), (99, 20, "moderate"), (100, 19, "moderate"), (19, 20, "weak"),
     (100, 4, "weak"), (4, 20, "no"), (100, 1, "no"), (None, 1, "no"), (None, None, "no")],
)  # fmt: skip
def test_few_references_are_little_evidence(
    prompts: int | None, images: int | None, evidence: str
) -> None:
    places = [None if n is None else counted(n) for n in (prompts, images)]
    match = Match(0.3, *places)
    assert match.evidence == evidence
    assert match.sentence.endswith(f": {evidence} evidence of a match")
    assert not match.sentence.startswith(":")


def test_a_prompt_below_nonsense_is_no_evidence() -> None:
    match = Match(0.3, standing(99.9, 1000), standing(99, 500), nonsense=("blorf", 0.31))
    assert match.evidence == "no"
    assert "no higher than the nonsense prompt 'blorf': no evidence" in match.sentence
    assert replace(match, nonsense=("blorf", 0.29)).evidence == "strong"


@pytest.mark.parametrize(
    ("rate", "written"),
    [(0.0526, "5.3 %"), (0.5, "50 %"), (0.001, "0.10 %"), (0.0, "0 %"), (1, "100 %")],
)
def test_rates_have_two_digits(rate: float, written: str) -> None:
    assert share(rate) == written
