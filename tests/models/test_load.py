from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import whyclip
from families import SMALL
from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.models.openclip import loading as openclip_load

MINI = Path(whyclip.__file__).parent / "mini" / "weights"


def saved(family: str, folder: Path) -> torch.nn.Module:
    model, processor, tokenizer = SMALL[family]()
    for part in (model, processor, tokenizer):
        part.save_pretrained(folder)
    return model


@pytest.mark.parametrize("family", ["siglip", "metaclip2", "chinese-clip", "altclip", "blip"])
def test_a_folder_of_transformers_is_read_by_its_own_class(family: str, tmp_path: Path) -> None:
    model = saved(family, tmp_path)
    view = whyclip.load(f"hf:{tmp_path}", device="cpu")
    pixels = torch.randn(1, 3, *view.image.input_size, generator=torch.Generator().manual_seed(0))
    before = whyclip.wrap(model, view.preprocess, view.tokenizer)
    with torch.no_grad():
        torch.testing.assert_close(view.image.encode(pixels), before.image.encode(pixels))


def test_classes_that_are_not_known_are_refused_by_name(tmp_path: Path) -> None:
    saved("siglip", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["Siglip2Model"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UnsupportedModelError, match=r"Siglip2Model is not .* CLIPModel \(CLIP\)"):
        whyclip.load(f"hf:{tmp_path}")


def test_a_folder_of_openclip_is_read_alike_by_both_of_its_versions() -> None:
    place = torch.device("cpu")
    one, look, tokenizer = openclip_load.load_openclip_folder(MINI, place)
    other, same_look, same_tokenizer = openclip_load._folder_of_version_2(MINI, place)
    assert repr(look) == repr(same_look)
    ids = tokenizer(["a dog next to a red car"])
    assert torch.equal(ids, same_tokenizer(["a dog next to a red car"]))
    pixels = torch.randn(1, 3, 112, 112, generator=torch.Generator().manual_seed(0))
    pixels = torch.nn.functional.interpolate(pixels, size=one.visual.image_size)
    with torch.no_grad():
        torch.testing.assert_close(
            one.eval().encode_image(pixels), other.eval().encode_image(pixels)
        )
        torch.testing.assert_close(one.encode_text(ids), other.encode_text(ids))


def test_a_folder_without_weights_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(OptionError, match=r"no weights; expected open_clip_model.safetensors"):
        whyclip.load(f"openclip:{tmp_path}")
