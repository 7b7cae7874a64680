"""What is taken from the model, against the slow reference and plain loops."""

from __future__ import annotations

import math

import pytest
import torch

import reference
import tiny
import whyclip
from audit_toy import GOOD, NAMES, Toy
from whyclip.studies.audit.cases import AuditCase, AuditSetup, explained_case
from whyclip.studies.audit.variants import variants_by_label
from whyclip.studies.candidates import prompt_candidates
from whyclip.studies.effects import (
    blur_patches,
    blurred_patch_scores,
    chosen_patches,
    hidden_patch_scores,
    word_drops,
)
from whyclip.studies.scoring import Encoder, TextDirections


@pytest.fixture(scope="module")
def case(view: whyclip.ModelView) -> AuditCase:
    data = Toy(3)
    setup = AuditSetup(
        view, variants_by_label(view, [GOOD]), prompt_candidates(view, data, list(data))
    )
    return explained_case(setup, data[1], 1)


def test_a_hidden_patch_is_one_that_was_never_there(case: AuditCase) -> None:
    image, _ = reference.towers_of(tiny.openclip_model())
    tokens = reference.stem_image(image, case.pixels[0])
    patches = torch.tensor([0, 5, 15])
    scores = hidden_patch_scores(case.forward_pass, patches)
    directions = case.forward_pass.targets.directions.double()
    for row, patch in zip(scores, patches.tolist(), strict=True):
        left = torch.cat([tokens[: patch + 1], tokens[patch + 2 :]])
        embedding = reference.embed(image, left, 0)
        expected = [float(reference.cosine(embedding, d)) for d in directions]
        assert row.tolist() == pytest.approx(expected, abs=1e-5)


def test_a_blurred_patch_is_a_gaussian_of_the_picture_and_nothing_else_changes() -> None:
    pixels = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    [edited] = blur_patches(pixels, torch.tensor([4]), (2, 3))
    inside = torch.zeros(16, 24, dtype=torch.bool)
    inside[8:16, 8:16] = True
    assert torch.equal(edited[:, ~inside], pixels[:, ~inside])
    sigma, reach = 4.0, 8
    for channel, y, x in [(0, 8, 8), (1, 15, 11), (2, 12, 15)]:
        total = weight = 0.0
        for dy in range(-reach, reach + 1):
            for dx in range(-reach, reach + 1):
                w = math.exp(-(dy * dy + dx * dx) / (2 * sigma * sigma))
                at = (min(max(y + dy, 0), 15), min(max(x + dx, 0), 23))
                total += w * float(pixels[channel][at])
                weight += w
        assert float(edited[channel, y, x]) == pytest.approx(total / weight, abs=1e-5)


def test_blurring_is_scored_by_the_model_itself(case: AuditCase, view: whyclip.ModelView) -> None:
    patches = torch.tensor([3, 9])
    edited = blur_patches(case.pixels[0], patches, (4, 4))
    with torch.no_grad():
        embeddings = tiny.openclip_model().encode_image(edited)
    directions = case.forward_pass.targets.directions
    expected = torch.nn.functional.cosine_similarity(embeddings[:, None], directions[None], dim=-1)
    assert torch.allclose(blurred_patch_scores(case.forward_pass, patches), expected, atol=1e-5)


def drops_of(case: AuditCase, texts: TextDirections) -> list[dict[tuple[int, int], float]]:
    image, tokens = case.image_target.directions[0].cpu(), case.encoded.tokens
    assert tokens is not None
    evidence = case.evidence
    return list(word_drops(image, evidence.prompts, evidence.scores.tolist(), tokens, texts))


def test_words_are_taken_out_of_the_text_itself(case: AuditCase) -> None:
    model, _, tokenizer = tiny.openclip_parts()
    lost = drops_of(case, TextDirections(Encoder(whyclip.wrap(*tiny.openclip_parts()))))
    assert len(lost) == len(case.evidence.prompts)
    prompt = case.evidence.prompts[0]
    start = prompt.index("photo")
    shorter = prompt.replace("photo ", "")
    with torch.no_grad():
        texts = model.encode_text(tokenizer([prompt, shorter]))
        image = model.encode_image(case.pixels)
    whole, left = torch.nn.functional.cosine_similarity(texts, image).tolist()
    assert lost[0][start, start + 5] == pytest.approx(whole - left, abs=1e-5)


def test_what_lies_beyond_the_context_never_moves_up_into_it(view: whyclip.ModelView) -> None:
    model, _, tokenizer = tiny.openclip_parts()
    # Each word is one piece, and 75 pieces fit between the start and the end.
    names = tuple(f"{name} cat dog car tree boat" + " house red green" * 25 for name in NAMES[:2])
    data = Toy(3, names=(*names, "dog"))
    setup = AuditSetup(
        view, variants_by_label(view, [GOOD]), prompt_candidates(view, data, list(data))
    )
    case = explained_case(setup, data[1], 1)
    lost = drops_of(case, TextDirections(Encoder(view)))
    [place] = [i for i, prompt in enumerate(case.evidence.prompts) if "a dog cat" in prompt]
    words = case.evidence.prompts[place].rstrip(".").split()
    assert len(words) > len(lost[place]) == 75
    with torch.no_grad():
        texts = [" ".join(words), *(" ".join([*words[:i], *words[i + 1 : 75]]) for i in (2, 74))]
        embeddings = model.encode_text(tokenizer(texts))
        image = model.encode_image(case.pixels)
    whole, first, last = torch.nn.functional.cosine_similarity(embeddings, image).tolist()
    by_place = [lost[place][key] for key in sorted(lost[place])]
    assert by_place[2] == pytest.approx(whole - first, abs=1e-5)
    assert by_place[74] == pytest.approx(whole - last, abs=1e-5)


def test_two_words_in_one_piece_are_two_words(view: whyclip.ModelView) -> None:
    data = Toy(2, names=("dog?!", "cat"))
    setup = AuditSetup(
        view, variants_by_label(view, [GOOD]), prompt_candidates(view, data, list(data))
    )
    case = explained_case(setup, data[0], 0)
    lost = drops_of(case, TextDirections(Encoder(view)))
    [place] = [i for i, prompt in enumerate(case.evidence.prompts) if "?!" in prompt]
    at = case.evidence.prompts[place].index("?!")
    assert lost[place].keys() >= {(at, at + 1), (at + 1, at + 2)}


def test_patches_are_drawn_once_each_and_all_if_there_are_no_more() -> None:
    drawn = chosen_patches(100, 20, 3)
    assert len(set(drawn.tolist())) == 20
    assert drawn.tolist() == sorted(drawn.tolist())
    assert torch.equal(drawn, chosen_patches(100, 20, 3))
    assert chosen_patches(16, 49, 0).tolist() == list(range(16))
