from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import whyclip
from families import BLIND, SMALL, TEXTS, TRUE_SIZE, picture
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize


@torch.no_grad()
def library_embeddings(model: nn.Module, pixels: Tensor, ids: Tensor, pad: int | None) -> Any:
    """What the library's own calls give, as its documentation writes them."""
    if hasattr(model, "encode_image"):
        return model.encode_image(pixels), model.encode_text(ids)
    if hasattr(model, "vision_proj"):
        states = model.vision_model(pixel_values=pixels).last_hidden_state
        mask = (ids != pad).long()
        words = model.text_encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return model.vision_proj(states[:, 0]), model.text_proj(words[:, 0])
    masked = {} if pad is None else {"attention_mask": (ids != pad).long()}
    # The whole model at once, which norms its embeddings; only their directions are compared.
    both = model(input_ids=ids, pixel_values=pixels, **masked)
    return both.image_embeds, both.text_embeds


def pad_of(tokenizer: Any) -> int | None:
    """Padding is masked by hand where the tokenizer is BERT's; SigLIP's takes part."""
    return tokenizer.pad_token_id if getattr(tokenizer, "cls_token_id", None) is not None else None


def directions(view: whyclip.ModelView) -> Targets:
    drawn = torch.randn(3, view.width, generator=torch.Generator().manual_seed(5))
    return Targets(F.normalize(drawn, dim=-1))


def check(model: nn.Module, preprocess: Any, tokenizer: Any) -> None:
    view = whyclip.wrap(model, preprocess, tokenizer)
    ids = tokenize(tokenizer, TEXTS, view.text.context).ids
    pixels = torch.randn(2, 3, *view.image.input_size, generator=torch.Generator().manual_seed(1))
    embeddings = library_embeddings(model, pixels, ids, pad_of(tokenizer))
    targets = directions(view)
    for tower, inputs, given in (
        (view.image, pixels, embeddings[0]),
        (view.text, ids, embeddings[1]),
    ):
        expected = given.reshape(len(inputs), -1)
        unit = F.normalize(expected, dim=-1)
        forward_pass = run_tower(tower, inputs, targets, keep=0 if tower.opaque else 1)
        torch.testing.assert_close(
            F.normalize(forward_pass.embedding, dim=-1), unit, atol=1e-4, rtol=0
        )
        if tower.opaque:
            continue
        readout = forward_pass.readout(1)
        ended = F.normalize(readout.embedding, dim=-1)
        torch.testing.assert_close(ended, unit, atol=1e-4, rtol=0)
        [attention] = readout.layers
        torch.testing.assert_close(attention.a.sum(-1), torch.ones_like(attention.a[..., 0]))
        # o = Σ a v is what the block merges: g·o is the sum of the tokens' contributions.
        [g] = forward_pass.gradient(readout, "o")
        [g_a] = forward_pass.gradient(readout, "a")
        o = torch.einsum("bht,bhtd->bhd", attention.a, attention.v).flatten(1)
        by_token = torch.einsum("bnht,bht->bn", g_a, attention.a)
        torch.testing.assert_close(by_token, torch.einsum("bnc,bc->bn", g, o), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family", SMALL)
def test_the_readout_is_the_librarys_own(family: str) -> None:
    check(*SMALL[family]())


@pytest.mark.slow
@pytest.mark.parametrize("family", TRUE_SIZE)
def test_the_readout_is_the_librarys_own_at_true_size(family: str) -> None:
    check(*TRUE_SIZE[family]())


@pytest.mark.parametrize("family", [family for family in SMALL if family not in BLIND])
def test_the_gradient_is_that_of_the_librarys_own_score(family: str) -> None:
    """Against finite differences through the library's encoder, by way of a changed pixel."""
    model, preprocess, tokenizer = SMALL[family]()
    view = whyclip.wrap(model, preprocess, tokenizer)
    tower = view.image
    pixels = torch.randn(1, 3, *tower.input_size, generator=torch.Generator().manual_seed(2))
    targets = directions(view)
    forward_pass = run_tower(tower, pixels, targets)
    readout = forward_pass.readout(1)
    [g] = forward_pass.gradient(readout, "o")
    [attention] = readout.layers
    block = attention.block
    o = torch.einsum("bht,bhtd->bhd", attention.a, attention.v).flatten(1)
    x = forward_pass.states[len(tower.blocks) - 1][:, 0]
    step = 1e-2 * torch.randn(o.shape, generator=torch.Generator().manual_seed(3))

    def score(at: Tensor) -> Tensor:
        with torch.no_grad():
            return targets.score(tower.project(block.finish(x, block.merge(at)))).flatten()

    numeric = (score(o + step) - score(o - step)) / 2
    torch.testing.assert_close((g[0] @ step[0]), numeric, rtol=3e-2, atol=2e-5)


@pytest.mark.parametrize("family", SMALL)
def test_both_eclips_agree_and_explain_the_model_itself(family: str) -> None:
    view = whyclip.wrap(*SMALL[family]())
    sides: list[Any] = [t.side for t in (view.image, view.text) if not t.opaque]
    assert sides == (["text"] if family in BLIND else ["image", "text"])
    one, other = (
        whyclip.explain(view, picture(), TEXTS[:2], method=method, sides=sides, relu=False)
        for method in ("grad_eclip", "attention_eclip")
    )
    assert one.certificate.explains_score, one.certificate
    assert one.certificate.gap < 1e-4
    if "image" in sides:
        assert one.maps is not None
        assert other.maps is not None
        assert float(one.maps.abs().max()) > 0
        torch.testing.assert_close(
            one.maps, other.maps, rtol=1e-4, atol=1e-5 * float(one.maps.max())
        )
    if "text" in sides:
        for ours, theirs in zip(one.words, other.words, strict=True):
            assert [word.text for word in ours] == [word.text for word in theirs]
            np.testing.assert_allclose(
                [w.relevance for w in ours], [w.relevance for w in theirs], rtol=1e-3, atol=1e-6
            )
        assert [word.text for word in one.words[0]] == ["a", "dog"]


def test_the_probability_of_a_sigmoid_model_is_the_librarys_own() -> None:
    model, preprocess, tokenizer = SMALL["siglip"]()
    with torch.no_grad():
        model.logit_scale.fill_(1.3)
        model.logit_bias.fill_(-0.7)
    view = whyclip.wrap(model, preprocess, tokenizer)
    ex = whyclip.explain(view, picture(), TEXTS[:2])
    pixels = preprocess(images=picture(), return_tensors="pt")["pixel_values"]
    ids = tokenizer(TEXTS[:2], padding="max_length", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model(pixel_values=pixels, input_ids=ids).logits_per_image[0]
    torch.testing.assert_close(view.probability(ex.scores), logits.sigmoid(), rtol=1e-4, atol=1e-6)
    assert ids.shape[1] == view.text.context == 64


def test_more_layers_than_the_pool_are_refused_in_one_line() -> None:
    view = whyclip.wrap(*SMALL["siglip"]())
    with pytest.raises(whyclip.errors.OptionError, match="pooling head.*layers=1"):
        whyclip.explain(view, picture(), TEXTS[:1], method="grad_eclip", layers=2, sides=["image"])
