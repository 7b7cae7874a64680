"""The saved model: its own library and whyclip open it, and it computes the same embeddings."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor

import families
import small_runs
import tiny
import whyclip
from small_runs import CONFIG, Noise, hf_tiny, openclip_folder, settings
from whyclip.finetuning.batch import token_ids
from whyclip.finetuning.checkpoint import checkpoints, load_checkpoint
from whyclip.finetuning.lora import adaptable_layers, adapters
from whyclip.finetuning.parameters import prepared, read_parameters
from whyclip.finetuning.train import finetune
from whyclip.inputs.preprocessing import run_preprocess

TEXTS = ["a red car", "two dogs"]


@torch.no_grad()
def embeddings(view: whyclip.ModelView) -> Tensor:
    pixels = run_preprocess(view.preprocess, families.picture())[None]
    return torch.cat([view.image.encode(pixels), view.text.encode(token_ids(view, TEXTS))])


@pytest.mark.parametrize("more", [{}, {"lora": 2}, {"ema": 0.9, "freeze_text": True}], ids=str)
def test_open_clip_opens_the_result(tmp_path: Path, more: dict[str, Any]) -> None:
    view = whyclip.load(str(openclip_folder(tmp_path / "start")), "cpu")
    first = embeddings(view)
    done = finetune(view, Noise(), tmp_path / "run", settings(**more), progress=False)
    expected = embeddings(view)
    assert not expected[0].allclose(first[0], atol=1e-3)
    assert expected[1:].equal(first[1:]) == bool(more.get("freeze_text"))
    assert embeddings(whyclip.load(str(done.folder), "cpu")).equal(expected)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{done.folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{done.folder}")
    model.eval()
    with torch.no_grad():
        image = model.encode_image(preprocess(families.picture())[None])
        assert torch.cat([image, model.encode_text(tokenizer(TEXTS))]).equal(expected)


@pytest.mark.parametrize("more", [{}, {"lora": 2}], ids=str)
def test_transformers_opens_the_result(tmp_path: Path, more: dict[str, Any]) -> None:
    from transformers import CLIPModel

    view = hf_tiny()
    first = embeddings(view)
    done = finetune(view, Noise(), tmp_path / "run", settings(**more), progress=False)
    expected = embeddings(view)
    assert not expected.allclose(first, atol=1e-3)
    # Equal weights; products of mapped memory, which is aligned otherwise, may round otherwise.
    loaded = embeddings(whyclip.load(f"hf:{done.folder}", "cpu"))
    torch.testing.assert_close(loaded, expected, rtol=1e-5, atol=1e-5)
    model = CLIPModel.from_pretrained(done.folder)
    assert all(w.equal(view.module.state_dict()[n]) for n, w in model.state_dict().items())  # type: ignore[union-attr]


def test_the_average_is_the_mean_that_its_formula_gives(tmp_path: Path) -> None:
    name = "visual.conv1.weight"
    average = small_runs.openclip_model().state_dict()[name].double()
    for step in range(1, 3):
        out = tmp_path / str(step)
        # The run of one more step, as the schedule of all is the same.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("whyclip.finetuning.run.Run.train", _until(step))
            small_runs.run(out, steps=9, ema=0.35, batch_size=2)
        live = load_checkpoint(checkpoints(out)[-1])
        decay = min(0.35, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * live.weights[name].double()
    assert live.average[name].double().allclose(average, atol=1e-5)


def _until(step: int) -> Any:
    from whyclip.finetuning.run import Run

    whole = Run.train

    def train(self: Run, *given: Any) -> None:
        class Wanted:
            @property
            def wanted(this) -> bool:  # noqa: N805
                return self.step == step - 1

        self.stop = Wanted()  # type: ignore[assignment]
        with suppress(KeyboardInterrupt):
            whole(self, *given)

    return train


@pytest.mark.parametrize("name", ["vit", "hf", "siglip", "timm-siglip", "coca", "vit-no-ln-pre"])
def test_adapters_are_seen_by_whyclip_as_by_the_library(name: str) -> None:
    parts = tiny.hf_parts() if name == "hf" else families.SMALL[name]()
    view = whyclip.wrap(*parts)
    assert view.module is not None
    before = embeddings(view)
    layers = adaptable_layers(view)
    assert layers
    with adapters(view, 2, skip=()):
        trained = [n for n, p in view.module.named_parameters() if p.requires_grad]
        assert len(trained) == 2 * len(layers)
        with torch.no_grad():
            for key, parameter in view.module.named_parameters():
                if "lora_" in key:
                    parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(len(key)))
        view.module.eval()
        adapted = embeddings(view)
        assert not adapted.allclose(before, atol=1e-3)
        # The blocks taken apart, against the library's own pass through the adapters.
        from whyclip.models.check import check_view

        check_view(view, token_ids(view, TEXTS))
    assert embeddings(view).allclose(adapted, atol=1e-4)
    check_view(view, token_ids(view, TEXTS))


@pytest.mark.parametrize("name", ["coca", "vit", "custom-text-last"])
def test_what_no_loss_reads_is_not_trained(name: str) -> None:
    view = whyclip.wrap(*families.SMALL[name]())
    with prepared(view, settings()) as module:
        trained = {n for n, p in module.named_parameters() if p.requires_grad}
        rest = {n.split(".")[0] for n, p in module.named_parameters() if not p.requires_grad}
    assert rest == ({"text_decoder"} if name == "coca" else set())
    assert "logit_scale" in trained


def test_text_parameters_are_all_but_those_of_the_image_and_the_scale() -> None:
    for view in (small_runs.openclip_tiny(), hf_tiny()):
        named = dict(view.module.named_parameters())  # type: ignore[union-attr]
        _, text = read_parameters(view)
        rest = {name.split(".")[0] for name, p in named.items() if p not in text}
        assert rest in (
            {"visual", "logit_scale"},
            {"vision_model", "visual_projection", "logit_scale"},
        )
        assert len(text) > 10


def test_config_is_known_by_name_and_folder(tmp_path: Path) -> None:
    from whyclip.finetuning.openclip_config import openclip_config

    view = whyclip.load("mini", "cpu")
    content = openclip_config(view)
    assert content["model_cfg"]["embed_dim"] == 256
    assert content["preprocess_cfg"]["mean"] == [0.5, 0.5, 0.5]
    folder = openclip_folder(tmp_path)
    named = small_runs.openclip_tiny(f"openclip:{folder}")
    assert openclip_config(named)["model_cfg"] == CONFIG
    assert openclip_config(small_runs.openclip_tiny(), folder)["model_cfg"] == CONFIG
