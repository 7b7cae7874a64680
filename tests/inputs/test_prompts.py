from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from whyclip.errors import PromptError
from whyclip.inputs import DirectionPrompt, ImagePrompt, TextPrompt, parse_prompts


def test_texts_and_ensembles():
    assert parse_prompts("a dog") == (TextPrompt(("a dog",)),)
    mixed = parse_prompts(["a dog", ["a photo of a cat", "a drawing of a cat"], ("a red car",)])
    assert [p.templates for p in mixed] == [
        ("a dog",),
        ("a photo of a cat", "a drawing of a cat"),
        ("a red car",),
    ]
    assert [p.label for p in mixed] == ["a dog", mixed[1].templates, "a red car"]


def test_a_string_is_always_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("cat.png")
    assert isinstance(parse_prompts("cat.png")[0], TextPrompt)
    [image] = parse_prompts(Path("cat.png"))
    assert isinstance(image, ImagePrompt)
    assert image.label == "image cat.png"


def test_images_of_every_kind():
    image = Image.new("RGB", (8, 9), "red")
    array = np.asarray(image)
    for given in (image, array, torch.from_numpy(array.copy())):
        for prompts in (given, [given], (given,)):
            [prompt] = parse_prompts(prompts)
            assert isinstance(prompt, ImagePrompt)
            assert prompt.image.size == (8, 9)
            assert prompt.image.getpixel((0, 0)) == (255, 0, 0)
    assert [type(p) for p in parse_prompts(["a", image])] == [TextPrompt, ImagePrompt]


def test_a_tensor_is_a_row_of_directions():
    vectors = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    directions = parse_prompts(vectors)
    assert all(isinstance(d, DirectionPrompt) for d in directions)
    stacked = torch.stack([d.vector for d in directions])
    torch.testing.assert_close(stacked, vectors.detach().float())
    assert not stacked.requires_grad


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        ("", "prompt is empty: ''"),
        (["a dog", " \t"], r"prompt #2 is empty: ' \\t'"),
        ([], r"no prompt given \(\[\]\)"),
        ((), "no prompt given"),
        (["a", []], r"prompt #2 is an ensemble without templates: \[\]"),
        ([["a", ""]], "template #2 of prompt #1 is empty"),
        ([["a", 3]], "template #2 of prompt #1 is 3 of type int"),
        (7, "7 of type int"),
        (None, "None of type NoneType"),
        ([None], "prompt #1 is None"),
        (b"a dog", "type bytes"),
        ({"a dog"}, "type set"),
        ({"a": 1}, "type dict"),
        ([Path("gone.png")], "prompt #1: no such file: 'gone.png'"),
        (np.full((8, 8), 9.0), "from 9 to 9"),
        (torch.zeros(2, 4), "row of zeros"),
        (torch.full((2, 4), float("nan")), r"shape \(2, 4\).*NaN"),
        (torch.ones(4), r"shape \(4,\).*\[n, e\]"),
        (torch.ones(0, 4), r"shape \(0, 4\)"),
        (torch.ones(2, 4, dtype=torch.int64), "int64.*float"),
    ],
)
def test_bad_prompts_are_quoted_in_one_line(prompts, says):
    with pytest.raises(PromptError, match=says) as caught:
        parse_prompts(prompts)
    assert "\n" not in str(caught.value)
