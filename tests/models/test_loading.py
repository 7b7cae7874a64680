"""Only the model that the user means is loaded: every weight from the file, every word read."""

from __future__ import annotations

import collections
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file

import families
import tiny
import whyclip
from families import SMALL
from families_hf import classifier
from whyclip.errors import OptionError, WhyclipError

ARCH = "whyclip-tiny"
CONFIG = {"embed_dim": tiny.EMBED, "vision_cfg": families.VIT, "text_cfg": families.TEXT}
State = dict[str, torch.Tensor]


def refused(said: str, spec: str | Path, **options: Any) -> str:
    with pytest.raises(WhyclipError, match=said) as caught:
        whyclip.load(spec, **{"device": "cpu", **options})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300, str(caught.value)
    return str(caught.value)


def copied(config: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config))


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    """Weights of an architecture that OpenCLIP knows by name."""
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, ARCH, CONFIG)
    model = families.openclip(**copied(CONFIG))[0]
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def saved_hf(family: str, folder: Path) -> Path:
    parts = classifier(("dog", "cat")) if family == "classifier" else SMALL[family]()
    for part in parts:
        part.save_pretrained(folder)
    return folder


def edit(folder: Path, change: Callable[[State], Any]) -> None:
    file = folder / "model.safetensors"
    weights = load_file(file)
    change(weights)
    save_file({k: v.contiguous() for k, v in weights.items()}, file, metadata={"format": "pt"})


HF = ["siglip", "metaclip2", "chinese-clip", "altclip", "blip", "classifier"]


@pytest.mark.parametrize("family", HF)
def test_folders_whose_weights_do_not_fit_are_refused(
    family: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # The name of the folder must not hold the word that the error is searched for.
    place = tmp_path_factory.mktemp("w")
    folder = saved_hf(family, place / "m")
    sound = load_file(folder / "model.safetensors")
    kept = shutil.copy(folder / "model.safetensors", place / "kept")
    key = next(name for name in sound if ".layer" in name and name.endswith("weight"))

    def check(change: Callable[[State], Any], said: str) -> None:
        edit(folder, change)
        # The library may save another name than it loads, with the same end.
        assert key.rsplit(".", 2)[-1] in refused(said, f"hf:{folder}")
        shutil.copy(kept, folder / "model.safetensors")

    check(lambda s: s.pop(key), "lacks 1 weights of")
    check(lambda s: s.update({f"renamed.{key}": s.pop(key)}), "lacks 1 weights of")
    check(lambda s: s.update({key: s[key][:-1]}), r"is \d.*, expected \d")
    check(lambda s: s.update({f"{key}_more": s[key].clone()}), "has 1 weights that .* does not use")
    check(lambda s: s[key].view(-1)[:3].fill_(float("nan")), r"contain NaN or infinity .3 of")
    whyclip.load(f"hf:{folder}", "cpu")


@pytest.mark.parametrize(
    ("family", "extra"),
    [
        ("chinese-clip", "text_model.embeddings.position_ids"),
        ("chinese-clip", "text_model.pooler.dense.weight"),
        ("blip", "text_decoder.cls.predictions.bias"),
        ("classifier", "vit.pooler.dense.weight"),
    ],
)
def test_weights_that_change_no_score_are_let_be(family: str, extra: str, tmp_path: Path) -> None:
    folder = saved_hf(family, tmp_path)
    edit(folder, lambda state: state.update({extra: torch.zeros(3)}))
    whyclip.load(f"hf:{folder}", "cpu")


@pytest.mark.parametrize("family", [f for f in HF if f != "classifier"])
def test_folders_without_a_tokenizer_are_refused(family: str, tmp_path: Path) -> None:
    folder = saved_hf(family, tmp_path)
    (folder / "tokenizer.json").unlink()
    refused("has no tokenizer; save it there", f"hf:{folder}")
    # One that is there and holds nothing.
    (folder / "vocab.txt").write_text("")
    with pytest.raises(WhyclipError):
        whyclip.load(f"hf:{folder}", "cpu")


def test_a_folder_with_a_standard_deviation_of_zero_is_refused(tmp_path: Path) -> None:
    folder = saved_hf("siglip", tmp_path)
    file = folder / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "image_std": [0, 0, 0]}))
    refused("standard deviation", f"hf:{folder}")


CHANGES: list[tuple[Callable[[State], Any], str]] = [
    (lambda s: s.pop("ln_final.weight"), r"lacks 1 weights \('ln_final.weight'\)"),
    (lambda s: s.update(head=torch.ones(2)), r"it has 1 others \('head'\)"),
    (
        lambda s: s.update({f"model.{k}": s.pop(k) for k in list(s)}),
        r"lacks \d+ weights \('.*', '.*' and \d+ more\), and it has \d+ others \('model",
    ),
    (
        lambda s: s.update({"visual.conv1.weight": s["visual.conv1.weight"][:, :, :4, :4]}),
        "'visual.conv1.weight' is 32×3×4×4, expected 32×3×8×8",
    ),
    (lambda s: s["logit_scale"].fill_(float("nan")), "'logit_scale' contain NaN"),
    (lambda s: s.clear(), "has no tensors"),
]


@pytest.mark.parametrize(("change", "said"), CHANGES)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_files_that_do_not_fit_are_refused(
    state: State, tmp_path: Path, change: Callable[[State], Any], said: str, suffix: str
) -> None:
    change(state)
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pt":
        torch.save(state, file)
    else:
        save_file({k: v.contiguous() for k, v in state.items()}, file)
    refused(said, f"openclip:{ARCH}/{file}")


def test_checkpoints_say_how_to_get_at_the_weights(state: State, tmp_path: Path) -> None:
    file = tmp_path / "epoch.pt"
    spec = f"openclip:{ARCH}/{file}"
    torch.save({"epoch": 3, "model": state}, file)
    refused(r"torch.save\(checkpoint\['model'\]", spec)
    torch.save({"state_dict": state, "args": collections.Counter("ab"), "rest": Path("x")}, file)
    refused(r"contains Python objects", spec)
    torch.save([1, 2], file)
    refused("contains list, not a state dict", spec)
    file.write_bytes(b"no weights")
    refused("cannot be read", spec)
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(file))
    refused("TorchScript", spec)
    # What OpenCLIP's own training saves, also from several GPUs.
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, file)
    assert whyclip.load(spec, "cpu").changes == ()


class Bomb:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("form", ["zip", "legacy", "pickle", "in a state dict"])
def test_pickled_checkpoints_execute_nothing(state: State, tmp_path: Path, form: str) -> None:
    mark, folder = tmp_path / "executed", tmp_path / "model"
    folder.mkdir()
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}})
    )
    bomb: Any = {**state, "bomb": Bomb(mark)} if form == "in a state dict" else Bomb(mark)
    file = folder / "open_clip_pytorch_model.bin"
    if form == "pickle":
        file.write_bytes(pickle.dumps(bomb))
    else:
        torch.save(bomb, file, _use_new_zipfile_serialization=form != "legacy")
    for spec in (f"openclip:{folder}", str(folder), f"openclip:{ARCH}/{file}"):
        refused("contains Python objects|cannot be read", spec)
        assert not mark.exists()
    torch.load(file, weights_only=False) if form != "pickle" else pickle.loads(file.read_bytes())
    assert mark.exists(), "the bomb would have gone off"


def test_folders_that_ask_to_run_code_are_refused(state: State, tmp_path: Path) -> None:
    text = {**families.TEXT, "hf_tokenizer_name": "x"}
    text["tokenizer_kwargs"] = {"trust_remote_code": True}
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": {**CONFIG, "text_cfg": text}, "preprocess_cfg": {}})
    )
    torch.save(state, tmp_path / "open_clip_pytorch_model.bin")
    refused("runs code", f"openclip:{tmp_path}")


def test_code_in_a_folder_of_transformers_is_not_run(tmp_path: Path) -> None:
    folder, mark = saved_hf("siglip", tmp_path / "model"), tmp_path / "executed"
    (folder / "code.py").write_text(f"import os\nos.mkdir({str(mark)!r})\n")
    for name, auto in (
        ("config.json", {"AutoConfig": "code.C"}),
        ("preprocessor_config.json", {"AutoImageProcessor": "code.C"}),
        ("tokenizer_config.json", {"AutoTokenizer": ["code.C", "code.C"]}),
    ):
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), "auto_map": auto}))
    whyclip.load(f"hf:{folder}", "cpu")
    assert not mark.exists()


@pytest.mark.parametrize("form", ["file", "folder"])
def test_resampled_positions_are_listed(state: State, tmp_path: Path, form: str) -> None:
    torch.manual_seed(0)
    state["visual.positional_embedding"] = torch.randn(7 * 7 + 1, tiny.WIDTH)
    state["positional_embedding"] = torch.randn(48, tiny.WIDTH)
    file = tmp_path / "open_clip_pytorch_model.bin"
    torch.save(state, file)
    (tmp_path / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": CONFIG, "preprocess_cfg": {}})
    )
    spec = f"openclip:{tmp_path}" if form == "folder" else f"openclip:{ARCH}/{file}"
    assert whyclip.load(spec, "cpu").changes == (
        "position embeddings resampled while loading, from 7×7 to 4×4 patches",
        "text position embeddings resampled while loading, from 48 to 24 positions",
    )


@pytest.mark.parametrize("device", ["cuda", 0, "cuda:1", 99, "nonsense", -1, True, 1.5, "meta"])
def test_devices_that_are_not_there_are_refused(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available() and device in ("cuda", 0, "cuda:1"):
        device = f"cuda:{torch.cuda.device_count()}"
    refused("device", "mini", device=device)


def test_a_path_is_a_model_like_its_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = saved_hf("siglip", tmp_path / "model")
    marks = {
        whyclip.load(spec, "cpu").fingerprint
        for spec in (folder, str(folder), f"hf:{folder}", "hf:~/model", "~/model", Path("~/model"))
    }
    assert len(marks) == 1
    mini = Path(whyclip.__file__).parent / "mini" / "weights"
    (tmp_path / "mini").symlink_to(mini)
    marks = {whyclip.load(s, "cpu").fingerprint for s in ("openclip:~/mini", mini, "~/mini")}
    assert len(marks) == 1
    for wrong in (3, None, ["mini"], b"mini"):
        with pytest.raises(OptionError, match="is of type"):
            whyclip.load(wrong)  # type: ignore[arg-type]


def test_nothing_is_printed_before_an_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import transformers

    folder = saved_hf("siglip", tmp_path)
    edit(folder, lambda state: state.pop(next(iter(state))))
    capfd.readouterr()
    refused("lacks 1 weights", f"hf:{folder}")
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()
