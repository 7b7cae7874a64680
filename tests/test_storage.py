from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import whyclip
from whyclip import storage
from whyclip.errors import OutputError


@pytest.fixture(scope="module")
def explanation() -> whyclip.Explanation:
    view = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    prompts = ["a dog's life — “ok”", ["a photo of a cat", "a cat"]]
    return whyclip.explain(view, Image.fromarray(noise), prompts, against="a tree")


def same(a: whyclip.Explanation, b: whyclip.Explanation) -> None:
    assert (a.model, a.method, a.prompts, a.words) == (b.model, b.method, b.prompts, b.words)
    assert a.certificate == b.certificate
    assert a.against == b.against
    assert a.geometry == b.geometry
    assert dict(a.options) == dict(b.options)
    assert torch.equal(a.scores, b.scores)
    assert (a.maps is None) == (b.maps is None)
    assert a.maps is None or torch.equal(a.maps, b.maps)


@pytest.mark.parametrize("ending", [".json", ".npz", ".safetensors"])
def test_what_is_saved_comes_back(
    explanation: whyclip.Explanation, tmp_path: Path, ending: str
) -> None:
    path = explanation.save(tmp_path / f"why{ending}")
    again = whyclip.load_explanation(path)
    same(explanation, again)
    if ending == ".json":
        assert again.image is None
    else:
        np.testing.assert_array_equal(np.asarray(again.image), np.asarray(explanation.image))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_words_alone_come_back(explanation: whyclip.Explanation, tmp_path: Path) -> None:
    view = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    words = whyclip.explain(view, explanation.image, "a dog", sides=["text"])
    for ending in (".json", ".npz", ".safetensors"):
        same(words, whyclip.load_explanation(words.save(tmp_path / f"w{ending}")))


@pytest.mark.parametrize("ending", [".json", ".npz", ".safetensors"])
def test_half_a_surrogate_pair_comes_back(
    explanation: whyclip.Explanation, tmp_path: Path, ending: str
) -> None:
    odd = replace(explanation, prompts=("\ud83d", "\\\ud83d é"), words=((), ()))
    same(odd, whyclip.load_explanation(odd.save(tmp_path / f"odd{ending}")))


def test_json_has_the_documented_keys(explanation: whyclip.Explanation) -> None:
    record = json.loads(json.dumps(storage.to_json(explanation), allow_nan=False))
    assert {"model", "method", "image", "prompts", "certificate"} <= record.keys()
    assert (record["image"]["width"], record["image"]["height"]) == (60, 40)
    first = record["prompts"][0]
    assert first["map"]["grid"] == [4, 4]
    assert first["map"]["box"] == pytest.approx([10, 0, 50, 40], abs=0.7)
    np.testing.assert_array_equal(
        np.float32(first["map"]["values"]).reshape(4, 4), explanation.maps[0].numpy()
    )
    for word in first["words"]:
        assert first["prompt"][word["start"] : word["end"]] == word["word"]
    assert record["prompts"][1]["prompt"] == ["a photo of a cat", "a cat"]


def test_dataframe_holds_every_patch_and_word(explanation: whyclip.Explanation) -> None:
    frame = explanation.to_dataframe()
    patches = frame[frame.side == "image"]
    assert len(patches) == 2 * 16
    assert patches.relevance.sum() == pytest.approx(float(explanation.maps.sum()), rel=1e-4)
    assert (patches.right - patches.left).round(2).nunique() == 1
    words = frame[frame.side == "text"]
    assert list(words.word) == [word.text for words in explanation.words for word in words]


@pytest.mark.parametrize(
    ("name", "message"),
    [("why.bmp", "end it in one of"), ("no/why.json", "no such folder"), ("folder.json", "folder")],
)
def test_bad_targets_are_refused(
    explanation: whyclip.Explanation, tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(OutputError, match=message):
        explanation.save(tmp_path / name)


def test_a_failure_leaves_what_was_there(
    explanation: whyclip.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "why.json"
    path.write_text("precious")

    def fail(*_: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match="No space left"):
        explanation.save(path)
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["why.json"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{}"),
        ("b.json", b"\xff\xfe"),
        ("c.npz", b"PK nonsense"),
        ("d.safetensors", b"nonsense"),
        ("e.json", b'{"prompts": [], "certificate": {}, "image": {"width": 1, "height": 1}}'),
    ],
)
def test_strange_files_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(OutputError) as caught:
        whyclip.load_explanation(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("length", [0, 2000, -1])
@pytest.mark.parametrize("ending", [".json", ".npz", ".safetensors"])
def test_files_cut_short_are_refused_in_one_line(
    explanation: whyclip.Explanation, tmp_path: Path, ending: str, length: int
) -> None:
    path = explanation.save(tmp_path / f"why{ending}")
    good = path.read_bytes()
    assert len(good) > 2000
    path.write_bytes(good[:length])
    with pytest.raises(OutputError, match="not written by whyclip") as caught:
        whyclip.load_explanation(path)
    assert "\n" not in str(caught.value)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, explanation=np.array([{"a": 1}], dtype=object))
    with pytest.raises(OutputError):
        whyclip.load_explanation(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no such file"):
        whyclip.load_explanation(tmp_path / "none.json")
    with pytest.raises(OutputError, match=r"\.json, \.npz"):
        whyclip.load_explanation(tmp_path / "page.html")
