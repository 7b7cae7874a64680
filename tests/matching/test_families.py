"""References, edits and concepts with every family of models that has texts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

import whyclip
from families import SMALL
from whyclip.inputs import tokenize
from whyclip.models import model_inputs

PROMPTS = ["a dog", "a cat", "a tree"]


def noise(seed: int) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


FAMILIES = (
    *("vit", "custom-text-last", "coca", "resnet", "timm-siglip", "siglip", "metaclip2"),
    *("altclip", "blip", "chinese-clip"),
)


@pytest.mark.parametrize("name", FAMILIES)
def test_scores_are_the_models_own(name: str) -> None:
    view = whyclip.wrap(*SMALL[name](), name=name)
    images = [noise(seed) for seed in range(4)]
    ref = whyclip.reference(view, images, PROMPTS, rate=0.3)
    ex = whyclip.explain(view, noise(9), PROMPTS, method="occlusion", window=2, reference=ref)
    scores = torch.tensor(ex.certificate.score_model)
    torch.testing.assert_close(
        torch.tensor([m.score for m in ex.matches]), scores, atol=1e-4, rtol=0
    )
    for index, match in enumerate(ex.matches):
        assert match.among_prompts is not None
        assert match.among_prompts.n == 2
        others = [float(scores[i]) for i in range(3) if i != index]
        if min(abs(other - float(scores[index])) for other in others) > 2e-3:
            below = sum(other < float(scores[index]) for other in others)
            assert match.among_prompts.percentile == 50 * below
        if view.logit_bias is None:
            assert match.probability is None
        else:
            logit = view.logit_scale * scores[index] + view.logit_bias
            assert match.probability == pytest.approx(float(logit.sigmoid()), abs=1e-3)
    result = whyclip.edits(view, noise(9), "a dog", nouns=["cat"], kinds=["swap"])
    assert result.score == pytest.approx(float(scores[0]), abs=1e-4)
    assert result[0].score == pytest.approx(float(scores[1]), abs=1e-4)


def test_siglips_probability_is_that_of_its_own_logits() -> None:
    model, processor, tokenizer = SMALL["siglip"]()
    view = whyclip.wrap(model, processor, tokenizer, name="siglip")
    ref = whyclip.reference(view, [noise(seed) for seed in range(4)], PROMPTS, rate=0.3)
    [match] = whyclip.explain(view, noise(9), "a dog", reference=ref).matches
    [(pixels, _)] = model_inputs(view, [noise(9)])
    image = F.normalize(view.image.encode(pixels[None])[0].detach(), dim=-1)
    ids = tokenize(view.tokenizer, ["a dog"], view.text.context).ids
    text = F.normalize(view.text.encode(ids)[0].detach(), dim=-1)
    logit = float(model.logit_scale.detach().exp() * (image @ text) + model.logit_bias.detach())
    assert match.probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-4)
    assert match.threshold is not None
    assert match.threshold.probability is not None
