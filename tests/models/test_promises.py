"""Promises about a user's model that its library makes easy to break."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file

import families
import tiny
import whyclip
from families_hf import SIZES, classifier
from pictures import Pictures
from whyclip.errors import UnsupportedModelError
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.studies.audit import audit

NAME, TAG = "whyclip-tiny", "quick"


@pytest.fixture
def tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An architecture with GELU, and a tag of weights that were trained with QuickGELU."""
    config = {"embed_dim": tiny.EMBED, "vision_cfg": families.VIT, "text_cfg": families.TEXT}
    trained = families.openclip(**copy.deepcopy(config), quick_gelu=True)[0]
    weights = tmp_path / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in trained.state_dict().items()}, weights)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, NAME, config)
    tags = open_clip.pretrained._PRETRAINED
    monkeypatch.setitem(tags, NAME, {TAG: {"url": "", "quick_gelu": True}})
    monkeypatch.setattr(open_clip.factory, "download_pretrained", lambda *_, **__: str(weights))
    return trained


def test_weights_of_a_tag_run_with_the_activation_they_were_trained_with(tagged: Any) -> None:
    view = whyclip.load(f"openclip:{NAME}/{TAG}", device="cpu")
    pixels = torch.randn(1, 3, *view.image.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(view.image.encode(pixels), tagged.encode_image(pixels))


def other_size(kind: str) -> whyclip.ModelView:
    """A model with preprocessing that belongs to another one."""
    if kind == "openclip":
        model, _, tokenizer = tiny.openclip_parts()
        return whyclip.wrap(
            model, open_clip.transform.image_transform(48, is_train=False), tokenizer
        )
    import transformers

    model, _, tokenizer = tiny.hf_parts()
    side = {"shortest_edge": tiny.IMAGE_SIZE}
    return whyclip.wrap(
        model, transformers.CLIPImageProcessor(size=side, do_center_crop=False), tokenizer
    )


@pytest.mark.parametrize("kind", ["openclip", "transformers"])
def test_preprocessing_of_another_model_is_refused(kind: str) -> None:
    view = other_size(kind)
    wanted = r"preprocessing gives .* pixels .* takes 32×32"
    with pytest.raises(UnsupportedModelError, match=wanted):
        whyclip.explain(view, [families.picture(64, 40), families.picture(90, 40)], "a dog")
    with pytest.raises(UnsupportedModelError, match=wanted):
        audit(view, Pictures(), checks=["computation"])
    if kind == "transformers":
        # As many whole patches as the model has, and yet its encoder would not take them.
        with pytest.raises(UnsupportedModelError, match="gives 32×34 pixels"):
            whyclip.explain(view, families.picture(34, 32), "a dog")
        with pytest.raises(UnsupportedModelError, match=wanted):
            whyclip.explain(view, families.picture(32, 32), [families.picture(64, 40)])


def test_a_pictures_certificate_does_not_depend_on_the_others() -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    square, wide = families.picture(32, 32), families.picture(96, 32)
    alone = whyclip.explain(view, square, "a dog", geometry="pad")
    assert alone.certificate.explains_score
    together = whyclip.explain(view, [square, wide], "a dog", geometry="pad")
    assert together[0].certificate.changes == ()
    assert together[0].certificate.explains_score
    assert any("pad" in change for change in together[1].certificate.changes)


def test_rounding_of_weights_in_half_precision_is_no_changed_model() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    half = copy.deepcopy(model).to(torch.bfloat16)
    view = whyclip.wrap(half, preprocess, tokenizer)
    for ex in whyclip.explain(view, [families.picture(), families.picture(90, 40)], "a dog"):
        assert ex.certificate.tolerance == pytest.approx(2e-2)
        assert ex.certificate.explains_score, ex.certificate


def test_texts_are_cut_where_the_tokenizer_cuts_them(tmp_path: Path) -> None:
    import transformers

    config = transformers.BertConfig(**SIZES, max_position_embeddings=50, vocab_size=64)
    config.save_pretrained(tmp_path)
    text = {
        "hf_model_name": str(tmp_path),
        "hf_model_pretrained": False,
        "hf_pooler_type": "cls_pooler",
    }
    model = open_clip.CustomTextCLIP(tiny.EMBED, open_clip.CLIPVisionCfg(**families.VIT), text)
    tokenizer = open_clip.tokenizer.HFTokenizer.__new__(open_clip.tokenizer.HFTokenizer)
    tokenizer.tokenizer = families.word_tokenizer("bert", 50)
    tokenizer.context_length, tokenizer.strip_sep_token = 24, False
    assert model.text.context_length == 50
    look = open_clip.transform.image_transform(tiny.IMAGE_SIZE, is_train=False)
    assert whyclip.wrap(model.eval(), look, tokenizer).text.context == 24


def test_a_kept_forward_pass_does_not_hold_what_it_does_not_show() -> None:
    view = whyclip.wrap(*tiny.openclip_parts())
    pixels = torch.randn(4, 3, *view.image.input_size)
    forward_pass = run_tower(view.image, pixels, Targets(torch.empty(0, 0)), keep=0)
    assert forward_pass.stream.x.untyped_storage().nbytes() == 0
    with torch.no_grad():
        embedding = whyclip.wrap(*classifier(["cat", "dog"]), None).image.encode(pixels)
    assert embedding.untyped_storage().nbytes() == embedding.numel() * embedding.element_size()


@pytest.mark.parametrize("family", ["timm-remainder", "altclip-remainder"])
def test_pixels_that_fill_no_patch_change_nothing_of_the_model(family: str) -> None:
    """The library takes 38 pixels, of which the patches of 8 read 32."""
    model, preprocess, tokenizer = families.SMALL[family]()
    view = whyclip.wrap(model, preprocess, tokenizer)
    assert view.image.input_size == (38, 38)
    assert view.image.native_grid == (4, 4)
    for geometry, side in (("model", 38), ("pad", 38), ("keep", 32)):
        for method in ("contribution", "occlusion"):
            square = families.picture(side, side)
            ex = whyclip.explain(view, square, "a dog", geometry=geometry, method=method)
            assert ex.maps is not None
            assert ex.maps.shape == (1, 4, 4), geometry
            assert torch.isfinite(ex.maps).all()
            assert ex.certificate.explains_score == (geometry != "keep"), ex.certificate
