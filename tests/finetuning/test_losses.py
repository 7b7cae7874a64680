"""The losses against plain loops over their formulas, and against finite differences."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.finetuning.losses import (
    info_nce,
    may_both_be_true,
    phrase_region_terms,
    region_features,
    relevance_penalty,
    removal_loss,
    sigmoid_loss,
)

M, P, E = 4, 6, 5
POSITIVE = torch.tensor([0, 3, 3, 5])
NONE_EXCLUDED = torch.zeros(M, P, dtype=torch.bool)


def unit(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def plain_phrase_region(
    regions: Tensor, phrases: Tensor, positive: Tensor, excluded: Tensor, scale: float
) -> list[float]:
    losses = []
    for t in range(len(regions)):
        loss = 0.0
        for u in range(len(phrases)):
            s = sigmoid(scale * (float(regions[t] @ phrases[u]) - 0.5))
            if u == int(positive[t]):
                loss -= (1 - s) ** 2 * math.log(s)
            elif not excluded[t, u]:
                loss -= s**2 * math.log(1 - s)
        losses.append(loss)
    return losses


def test_info_nce_is_the_mean_cross_entropy_of_rows_and_columns() -> None:
    images, texts, scale = unit(P, E), unit(P, E, seed=1), 7.0
    total = 0.0
    for i in range(P):
        rows = [math.exp(scale * float(images[i] @ texts[j])) for j in range(P)]
        columns = [math.exp(scale * float(images[j] @ texts[i])) for j in range(P)]
        total -= math.log(rows[i] / sum(rows)) + math.log(columns[i] / sum(columns))
    assert float(info_nce(images, texts, scale)) == pytest.approx(total / 2 / P, rel=1e-12)


def test_info_nce_of_equal_embeddings_is_log_b() -> None:
    same = unit(1, E).expand(P, -1)
    assert float(info_nce(same, same, 50.0)) == pytest.approx(math.log(P))


def test_sigmoid_loss_judges_every_pair_alone() -> None:
    images, texts = unit(P, E), unit(P, E, seed=1)
    total = 0.0
    for i in range(P):
        for j in range(P):
            logit = 7 * float(images[i] @ texts[j]) - 2
            total -= math.log(sigmoid(logit if i == j else -logit))
    assert float(sigmoid_loss(images, texts, 7.0, -2.0)) == pytest.approx(total / P, rel=1e-12)


def test_phrase_region_loss_is_its_formula() -> None:
    regions, phrases = unit(M, E), unit(P, E, seed=1)
    excluded = torch.zeros(M, P, dtype=torch.bool)
    excluded[0, 2] = excluded[1, 3] = excluded[3, 0] = True
    terms = phrase_region_terms(regions, phrases, POSITIVE, excluded, 6.0)
    expected = plain_phrase_region(regions, phrases, POSITIVE, excluded, 6.0)
    assert terms.tolist() == pytest.approx(expected, rel=1e-10)


def test_an_excluded_phrase_has_no_effect_and_the_own_phrase_is_never_excluded() -> None:
    regions, phrases = unit(M, E), unit(P, E, seed=1)
    everything = torch.ones(M, P, dtype=torch.bool)
    alone = phrase_region_terms(regions, phrases, POSITIVE, everything, 6.0)
    for t in range(M):
        phrase = phrases[POSITIVE[t]][None]
        single = phrase_region_terms(
            regions[t][None], phrase, torch.tensor([0]), NONE_EXCLUDED[:1, :1], 6.0
        )
        assert float(alone[t]) == pytest.approx(float(single), rel=1e-12)


def test_order_and_padding_of_phrases_change_nothing() -> None:
    regions, phrases = unit(M, E), unit(P, E, seed=1)
    before = phrase_region_terms(regions, phrases, POSITIVE, NONE_EXCLUDED, 6.0)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    place = order.argsort()
    padded = torch.cat([phrases[order], torch.zeros(3, E, dtype=torch.float64)])
    excluded = torch.zeros(M, P + 3, dtype=torch.bool)
    excluded[:, P:] = True
    after = phrase_region_terms(regions, padded, place[POSITIVE], excluded, 6.0)
    assert torch.allclose(before, after, rtol=1e-12)


def test_extreme_scales_stay_finite() -> None:
    regions, phrases = unit(M, E).float(), unit(P, E, seed=1).float()
    for scale in (0.0, 1e4):
        terms = phrase_region_terms(regions, phrases, POSITIVE, NONE_EXCLUDED, scale)
        assert torch.isfinite(terms).all()


def test_a_regions_feature_does_not_depend_on_the_scale_of_its_map() -> None:
    maps = torch.rand(M, 9, dtype=torch.float64)
    features = unit(M, 9, E)
    expected = torch.stack(
        [sum(maps[m, i] * features[m, i] for i in range(9)) for m in range(M)]  # type: ignore[misc]
    )
    expected = expected / expected.norm(dim=-1, keepdim=True)
    for factor in (1.0, 1e-6, 1e6):
        assert torch.allclose(region_features(maps * factor, features), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ({1, 2}, {1}, True),
        ({1}, {1, 2}, True),
        ({1, 2}, {2, 1}, True),
        ({1, 2}, {1, 3}, False),
        ({1}, {2}, False),
        ({1}, set(), True),
    ],
)
def test_phrases_of_which_one_contains_the_other_can_both_be_true(
    one: set[int], other: set[int], both: bool
) -> None:
    rows = [[*sorted(words), *[0] * (4 - len(words))] for words in (one, other)]
    words = torch.tensor(rows)
    assert may_both_be_true(words[:1], words[1:]).item() is both


def test_removal_loss_counts_only_what_the_patches_add() -> None:
    scores, without = torch.tensor([0.5, 0.2]), torch.tensor([0.1, 0.4])
    assert removal_loss(scores, without).tolist() == pytest.approx([0.4, 0.0])


def test_relevance_penalty_is_a_share_that_the_scale_does_not_change() -> None:
    relevance = torch.tensor([[1.0, -2.0, 2.0], [0.0, 0.0, 0.0]])
    marked = torch.tensor([[False, True, False], [True, True, True]])
    assert relevance_penalty(relevance, marked).tolist() == pytest.approx([4 / 9, 0])
    assert relevance_penalty(relevance * 100, marked).tolist() == pytest.approx([4 / 9, 0])


def test_gradients_are_those_of_finite_differences() -> None:
    def phrase_region(regions: Tensor, phrases: Tensor, scale: Tensor) -> Tensor:
        return phrase_region_terms(regions, phrases, POSITIVE, NONE_EXCLUDED, scale).mean()

    def whole(maps: Tensor, features: Tensor, phrases: Tensor) -> Tensor:
        regions = region_features(maps, features)
        return phrase_region_terms(regions, phrases, POSITIVE, NONE_EXCLUDED, 3.0).mean()

    images, texts = unit(M, E).requires_grad_(), unit(M, E, seed=1).requires_grad_()
    phrases = unit(P, E, seed=2).requires_grad_()
    scale = torch.tensor(4.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-1.0, dtype=torch.float64, requires_grad=True)
    relevance = torch.randn(M, 7, dtype=torch.float64, requires_grad=True)
    marked = torch.rand(M, 7) > 0.5
    maps = torch.rand(M, 3, dtype=torch.float64, requires_grad=True)
    features = unit(M, 3, E, seed=3).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(info_nce, (images, texts, scale))
    assert check(sigmoid_loss, (images, texts, scale, bias))
    assert check(phrase_region, (images, phrases, scale))
    assert check(whole, (maps, features, phrases))
    assert check(lambda r: relevance_penalty(r, marked), (relevance,))
    assert check(removal_loss, (images[:, 0], texts[:, 0]))


def test_contrastive_losses_are_those_of_openclip() -> None:
    """Values and gradients of an independent implementation."""
    from open_clip.loss import ClipLoss, SigLipLoss

    def both(images: Tensor, texts: Tensor, scale: Tensor, bias: Tensor) -> list[Tensor]:
        return [
            info_nce(images, texts, scale),
            sigmoid_loss(images, texts, scale, bias),
            ClipLoss()(images, texts, scale),
            SigLipLoss()(images, texts, scale, bias),
        ]

    values = (unit(P, E, seed=1), unit(P, E, seed=2), torch.tensor(13.0), torch.tensor(-3.0))
    inputs = [value.double().requires_grad_() for value in values]
    results = both(*inputs)
    for ours, theirs, known in zip(results[:2], results[2:], (3, 4), strict=True):
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
        gradients = [torch.autograd.grad(loss, inputs[:known]) for loss in (ours, theirs)]
        for one, other in zip(*gradients, strict=True):
            assert one.abs().max() > 1e-3
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
