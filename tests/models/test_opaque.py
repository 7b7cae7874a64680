from __future__ import annotations

import pytest
import torch

import whyclip
from families import SMALL, TEXTS, picture
from whyclip.errors import OptionError, UnsupportedModelError


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*SMALL["vit-average"]())


def test_methods_that_read_attention_say_why_not_and_what_would(view: whyclip.ModelView) -> None:
    with pytest.raises(UnsupportedModelError, match=r"averages its patches.*occlusion") as caught:
        whyclip.explain(view, picture(), TEXTS[:1], method="grad_eclip")
    assert "\n" not in str(caught.value)
    default = whyclip.explain(view, picture(), TEXTS[:1])
    assert default.methods == {"image": "occlusion", "text": "decomposition"}
    words = whyclip.explain(view, picture(), TEXTS[:1], sides=["text"])
    assert words.certificate.explains_score
    assert [word.text for word in words.words[0]] == ["a", "dog"]


def test_methods_that_change_the_input_work(view: whyclip.ModelView) -> None:
    ex = whyclip.explain(view, picture(), TEXTS[:2], method="occlusion", sides=["image"], window=1)
    assert ex.certificate.explains_score
    assert ex.maps is not None
    # Covering the first patch alone, by hand, through the library's own encoder.
    with torch.no_grad():
        [pixels] = [view.preprocess(picture())[None]]
        covered = pixels.clone()
        covered[:, :, : view.image.patch, : view.image.patch] = 0
        drop = [view.image.encode(p) for p in (pixels, covered)]
        ids = view.tokenizer(TEXTS[:2])
        texts = torch.nn.functional.normalize(view.text.encode(ids), dim=-1)
        one, other = (torch.nn.functional.normalize(f, dim=-1) @ texts.T for f in drop)
    torch.testing.assert_close(ex.maps[:, 0, 0], (one - other)[0], rtol=1e-3, atol=1e-5)


def test_a_comparison_names_the_method_that_cannot(view: whyclip.ModelView) -> None:
    comparison = whyclip.compare(view, [picture()], TEXTS[:1], ["grad_eclip"], sides=["text"])
    assert list(comparison) == ["grad_eclip"]
    with pytest.raises(UnsupportedModelError):
        whyclip.compare(view, [picture()], TEXTS[:1], ["grad_eclip"])


def test_other_grids_are_refused_where_the_model_has_one() -> None:
    for family in ("vit-average", "resnet", "timm-eva"):
        other = whyclip.wrap(*SMALL[family]())
        with pytest.raises(OptionError, match="use 'model' or 'pad'"):
            whyclip.explain(
                other, picture(), TEXTS[:1], geometry="keep", method="random", sides=["image"]
            )
