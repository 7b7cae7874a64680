"""Models in memory that whyclip cannot follow are refused in one line that says what to do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import tiny
import whyclip
from families import SMALL, TEXTS, picture
from families_hf import classifier, word_tokenizer
from whyclip.errors import UnsupportedModelError, WhyclipError

Parts = tuple[Any, Any, Any]


def refused(said: str, parts: Parts) -> None:
    with pytest.raises(WhyclipError, match=said) as caught:
        whyclip.wrap(*parts)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 170, str(caught.value)


class LoraModel(nn.Module):
    """As ``peft`` wraps a model: attributes of the inner one show through."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = model

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.base_model, name)

    def merge_and_unload(self) -> nn.Module:
        return self.base_model


def quantised(model: nn.Module) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(model, {nn.Linear})


def scripted(model: nn.Module) -> Any:
    return torch.jit.script(nn.Linear(2, 2).eval())


WRAPPED = [
    (nn.DataParallel, r"\.module"),
    (LoraModel, r"merge_and_unload\(\)"),
    (quantised, "before it is quantised"),
    (scripted, "TorchScript"),
    (lambda model: model.state_dict(), "load_state_dict"),
    (lambda model: "ViT-B-32", r"whyclip.load"),
]


@pytest.mark.parametrize("parts", [tiny.openclip_parts, tiny.hf_parts], ids=["openclip", "hf"])
@pytest.mark.parametrize(("around", "said"), WRAPPED)
def test_wrappers_are_refused(parts: Callable[[], Parts], around: Any, said: str) -> None:
    model, preprocess, tokenizer = parts()
    try:
        other = around(model).eval()
    except AttributeError:
        other = around(model)
    refused(said, (other, preprocess, tokenizer))


@pytest.mark.parametrize("parts", [tiny.openclip_parts, tiny.hf_parts], ids=["openclip", "hf"])
def test_compiled_models_are_their_own(parts: Callable[[], Parts]) -> None:
    model, preprocess, tokenizer = parts()
    plain = whyclip.wrap(model, preprocess, tokenizer)
    other = whyclip.wrap(torch.compile(model, backend="eager"), preprocess, tokenizer)
    a, b = (whyclip.explain(view, picture(), TEXTS[:1]).maps for view in (plain, other))
    assert torch.equal(a, b)
    assert plain.fingerprint == other.fingerprint


def same_results(parts: Parts, changed: Parts) -> None:
    one, other = (whyclip.explain(whyclip.wrap(*p), picture(), TEXTS[:2]) for p in (parts, changed))
    torch.testing.assert_close(one.scores, other.scores)
    torch.testing.assert_close(one.maps, other.maps)


def test_an_encoder_that_gives_its_tokens_as_well_works() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    changed = tiny.openclip_parts()
    changed[0].visual.output_tokens = True
    same_results((model, preprocess, tokenizer), changed)
    family = SMALL["custom-text-first"]
    other = family()
    other[0].text.output_tokens = True
    same_results(family(), other)


@pytest.mark.parametrize("family", ["hf", "siglip", "altclip", "classifier"])
@pytest.mark.parametrize("inner", [False, True])
def test_models_that_give_tuples_are_refused(family: str, inner: bool) -> None:
    kinds: dict[str, Any] = {
        **SMALL,
        "hf": tiny.hf_parts,
        "classifier": lambda: (*classifier(TEXTS), None),
    }
    model, preprocess, tokenizer = kinds[family]()
    part = model if family == "classifier" or not inner else model.text_model
    part.config.return_dict = False
    refused("return_dict = True", (model, preprocess, tokenizer))


def test_a_model_without_projections_needs_equal_widths() -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    model.visual.proj = None
    refused("image embeddings have 32 numbers, text embeddings 24", (model, preprocess, tokenizer))
    model.text_projection = None
    view = whyclip.wrap(model, preprocess, tokenizer)
    assert view.width == tiny.WIDTH
    assert whyclip.explain(view, picture(), torch.ones(1, tiny.WIDTH)).maps is not None


def test_a_replaced_classifier_head_is_numbered() -> None:
    model, preprocess = classifier(("tabby", "tiger"))
    torch.manual_seed(0)
    model.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(tiny.WIDTH, 5)).eval()
    view = whyclip.wrap(model, preprocess, None)
    assert view.classes is not None
    assert view.classes.names == ("0", "1", "2", "3", "4")
    with torch.no_grad():
        logits = model(preprocess(images=picture(), return_tensors="pt")["pixel_values"]).logits[0]
    ex = whyclip.explain(view, picture(), ["4", "2"])
    torch.testing.assert_close(ex.scores, logits[[4, 2]], rtol=1e-4, atol=1e-5)
    with pytest.raises(WhyclipError):
        whyclip.explain(view, picture(), "tabby")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (nn.Identity(), "num_labels=0"),
        (nn.Sequential(nn.Linear(32, 9), nn.ReLU(), nn.Linear(9, 3)), "not one linear layer"),
        (nn.Sequential(nn.ReLU(), nn.Linear(32, 3)), "not one linear layer"),
    ],
)
def test_heads_that_are_not_linear_are_refused(head: nn.Module, said: str) -> None:
    model, preprocess = classifier(("tabby", "tiger"))
    model.classifier = head.eval()
    refused(said, (model, preprocess, None))


def test_a_head_that_gives_other_logits_is_refused() -> None:
    model, preprocess = classifier(("tabby", "tiger"))
    model.classifier.register_forward_hook(lambda *call: -call[-1])
    refused("logits differs", (model, preprocess, None))


def damaged(parts: Callable[[], Parts], name: str, value: float) -> Parts:
    model, preprocess, tokenizer = parts()
    tensor = model.state_dict()[name]
    tensor.view(-1)[tensor.numel() // 2] = value
    return model, preprocess, tokenizer


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (tiny.openclip_parts, "visual.transformer.resblocks.1.mlp.c_fc.bias"),
        (tiny.openclip_parts, "logit_scale"),
        (tiny.hf_parts, "text_model.embeddings.token_embedding.weight"),
        (SMALL["resnet"], "visual.bn1.running_var"),
        (partial(lambda: (*classifier(("a", "b")), None)), "classifier.weight"),
    ],
)
def test_weights_that_are_no_numbers_are_named(parts: Any, name: str, value: float) -> None:
    refused(f"{name}' contain NaN or infinity .1 of", damaged(parts, name, value))


def test_a_layer_that_overflows_is_named() -> None:
    for tower, where, said in (
        ("visual.transformer", "resblocks.1.mlp.c_fc", "image block 1"),
        ("transformer", "resblocks.0.mlp.c_fc", "text block 0"),
        ("", "ln_final", "text projection"),
    ):
        model, preprocess, tokenizer = tiny.openclip_parts()
        layer = model.get_submodule(f"{tower}.{where}".removeprefix("."))
        with torch.no_grad():
            # Finite in itself, and beyond float32 with what follows.
            layer.weight.fill_(1e38)
            layer.bias.fill_(3e38)
        refused(f"{said} gives NaN or infinity", (model, preprocess, tokenizer))


def test_a_standard_deviation_of_zero_is_refused() -> None:
    from torchvision.transforms import Compose, Normalize, Resize, ToTensor

    model, processor, tokenizer = tiny.hf_parts()
    processor.image_std = [0.0, 0.0, 0.0]
    refused("standard deviation", (model, processor, tokenizer))
    model, _, tokenizer = tiny.openclip_parts()
    preprocess = Compose([Resize((32, 32)), ToTensor(), Normalize((0.5,) * 3, (0.5, 0.0, 0.5))])
    refused("standard deviation", (model, preprocess, tokenizer))


def test_a_tokenizer_that_reads_nothing_is_refused() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"[PAD]": 0, "[CLS]": 1, "[SEP]": 2, "[UNK]": 3}, "[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = {"pad_token": "[PAD]", "cls_token": "[CLS]", "unk_token": "[UNK]", "sep_token": "[SEP]"}
    empty = PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=32, **marks)
    model, preprocess, _ = SMALL["chinese-clip"]()
    refused("gives 'dog', 'cat' and 'tree' the same ids", (model, preprocess, empty))


def test_a_tokenizer_of_another_model_is_refused() -> None:
    model, preprocess, _ = SMALL["siglip"]()
    refused("only 64 token embeddings", (model, preprocess, tiny.hf_tokenizer()))
    # Words beyond the vocabulary are fine, as long as there are some within it.
    whyclip.wrap(model, preprocess, word_tokenizer("siglip", 64))


@pytest.mark.parametrize("side", ["image", "text"])
def test_an_encoder_that_reads_nothing_is_refused(side: str) -> None:
    model, preprocess, tokenizer = tiny.openclip_parts()
    with torch.no_grad():
        part = model.visual.conv1.weight if side == "image" else model.token_embedding.weight
        part.zero_()
    if side == "text":
        # Read at the first position, which sees nothing behind it.
        model.text_pool_type = "first"
    refused(f"{side} encoder gives two different inputs the same", (model, preprocess, tokenizer))


def test_text_towers_of_transformers_say_what_works(tmp_path: Any) -> None:
    import open_clip
    from transformers import XLMRobertaConfig

    config = XLMRobertaConfig(
        vocab_size=64,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
        pad_token_id=0,
    )
    config.save_pretrained(tmp_path)
    vision = {**vars(open_clip.CLIPVisionCfg()), **{"image_size": 32, "patch_size": 8, "width": 32}}
    vision.update(layers=2, head_width=8)
    text = open_clip.CLIPTextCfg(
        hf_model_name=str(tmp_path), hf_model_pretrained=False, hf_proj_type="mlp"
    )
    model = open_clip.CustomTextCLIP(24, open_clip.CLIPVisionCfg(**vision), text)
    tiny.randomise(model)
    preprocess = tiny.openclip_parts()[1]
    view = whyclip.wrap(model, preprocess, word_tokenizer("bert", 32))
    ex = whyclip.explain(view, picture(), TEXTS[:2], sides=["image"])
    with torch.no_grad():
        ids = view.tokenizer(TEXTS[:2], padding="max_length", return_tensors="pt")["input_ids"]
        embeddings = model(preprocess(picture())[None], ids)
    expected = (embeddings[0] @ embeddings[1].T)[0]
    torch.testing.assert_close(ex.scores, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(UnsupportedModelError, match=r"sides=\['image'\]"):
        whyclip.explain(view, picture(), TEXTS[:1], method="grad_eclip")
