"""An explanation as a value: compared, hashed, printed, indexed; and what it keeps in memory."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import tiny
import whyclip
from whyclip.certificate import Certificate
from whyclip.explanation import Explanation
from whyclip.match import Match
from whyclip.types import Box, Geometry, Word

LONG = "a photograph of a very long description " * 30


def make(
    prompts: tuple[str, ...] = ("a dog", "a red car", "a cat"), **fields: object
) -> Explanation:
    n = len(prompts)
    scores = tuple(0.1 * i for i in range(n))
    made: dict[str, object] = {
        "model": "tiny",
        "method": "grad_eclip",
        "prompts": prompts,
        "scores": torch.tensor(scores),
        "maps": torch.arange(n * 6.0).reshape(n, 2, 3),
        "words": tuple((Word(p, 0, len(p), 0.5 * i),) for i, p in enumerate(prompts)),
        "certificate": Certificate(scores, {"image": scores}, diagnostics={"gap": scores}),
        "geometry": Geometry("model", 30, 20, Box(0, 0, 30, 20)),
        "options": {"heads": "native", "layers": [1, 2]},
    }
    return Explanation(**{**made, **fields})  # type: ignore[arg-type]


CHANGES = {
    "model": "other",
    "method": "rollout",
    "prompts": ("a dog", "a red car", "a cow"),
    "scores": torch.tensor([0.0, 0.1, 0.3]),
    "maps": torch.zeros(3, 2, 3),
    "words": ((), (), ()),
    "certificate": Certificate((0.0, 0.1, 0.2), {}),
    "geometry": Geometry("keep", 30, 20, Box(0, 0, 30, 20)),
    "options": {},
    "against": ("a cow",),
    "notes": ("unlike the training images",),
    "contrast": ((0.3, 0.1), (0.3, 0.2), (0.3, 0.1)),
    "methods": {"image": "grad_eclip", "text": "decomposition"},
    "matches": (Match(0.1, None, None),) * 3,
}


def test_equal_by_value_and_equal_hashes() -> None:
    one, other = make(), make(image=Image.new("RGB", (30, 20)))
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1
    assert one in [other]


@pytest.mark.parametrize("part", CHANGES)
def test_a_change_of_any_part_makes_a_difference(part: str) -> None:
    assert make() != make(**{part: CHANGES[part]})


@pytest.mark.parametrize(
    "maps", [None, torch.zeros(3, 2, 3).double(), torch.zeros(3, 3, 2), torch.zeros(3, 2, 3) - 1]
)
def test_maps_of_another_kind_shape_or_value_differ(maps: torch.Tensor | None) -> None:
    assert make(maps=torch.zeros(3, 2, 3)) != make(maps=maps)


def test_every_part_but_the_image_and_the_audits_is_compared() -> None:
    assert set(CHANGES) | {"image", "audits"} == set(Explanation.__dataclass_fields__)


def test_another_thing_is_not_equal() -> None:
    assert make() != "a dog"
    assert make() is not None
    assert make() != None  # noqa: E711


@pytest.mark.parametrize("prompts", [("a dog",), ("a dog",) * 500, (LONG,) * 3])
def test_the_text_form_is_short_and_names_what_it_is(prompts: tuple[str, ...]) -> None:
    text = repr(make(prompts))
    assert len(text) < 300
    assert "\n" not in text
    for part in ("'tiny'", "'grad_eclip'", prompts[0][:20], f"maps {len(prompts)}×2×3"):
        assert part in text
    assert "no maps" in repr(make(prompts, maps=None))


def test_one_prompt_is_the_explanation_of_that_prompt() -> None:
    whole = make(contrast=CHANGES["contrast"])
    parts = list(whole)
    assert len(parts) == len(whole) == 3
    for index, part in enumerate(parts):
        assert part == whole[index] == whole[index - 3]
        assert part.prompts == (whole.prompts[index],)
        assert part.scores.tolist() == [float(whole.scores[index])]
        assert whole.maps is not None
        assert part.maps is not None
        assert torch.equal(part.maps, whole.maps[index : index + 1])
        assert part.words == (whole.words[index],)
        assert part.contrast == (whole.contrast[index],)
        noted = part.certificate
        expected = (whole.certificate.score_model[index],)
        assert noted.score_model == noted.scores["image"] == noted.diagnostics["gap"] == expected
    assert whole[1:].prompts == ("a red car", "a cat")
    assert whole[::-1][::-1] == whole[:] == whole
    assert whole[0].labels == ("a dog",)
    for index in (3, -4):
        with pytest.raises(IndexError):
            whole[index]


def test_a_part_saves_and_comes_back(tmp_path: Path) -> None:
    part = make(options={})[1]
    assert whyclip.load_explanation(part.save(tmp_path / "one.npz")) == part


def test_an_interaction_is_a_value_too() -> None:
    view = whyclip.wrap(*tiny.openclip_parts(3))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8))
    one, other = (whyclip.interaction(view, image, "a red dog") for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != replace(one, matrix=one.matrix + 1)
    assert one != "a red dog"
    assert len(repr(one)) < 200


def test_large_photographs_are_kept_at_display_size(tmp_path: Path) -> None:
    view = whyclip.wrap(*tiny.openclip_parts(3))
    shade = np.linspace(0, 255, 3000).astype(np.uint8)
    photo = Image.fromarray(np.broadcast_to(shade[None, :, None], (2000, 3000, 3)).copy())
    photo.save(tmp_path / "photo.png")
    options = {"method": "contribution", "sides": ["image"]}
    explanations = whyclip.explain(view, [tmp_path / "photo.png"] * 3, ["a dog"], **options)
    pixels = 0
    for ex in explanations:
        assert ex.image is not None
        assert ex.image.size == (1400, 933)
        assert (ex.geometry.width, ex.geometry.height) == (3000, 2000)
        assert ex.heatmap().shape == (1, 2000, 3000)
        pixels += ex.image.width * ex.image.height
    gc.collect()
    kept = [
        o for o in gc.get_objects() if issubclass(type(o), Image.Image) and o.size == photo.size
    ]
    assert kept == [photo]
    back = whyclip.load_explanation(explanations[0].save(tmp_path / "one.safetensors"))
    assert back == explanations[0]
    assert back.image is not None
    assert back.image.size == (1400, 933)
    whole = whyclip.explain(view, photo, ["a dog"], **options)
    torch.testing.assert_close(whole.maps, explanations[0].maps, atol=1e-5, rtol=1e-4)
    small = photo.resize((90, 60))
    assert whyclip.explain(view, small, ["a dog"], **options).image.size == (90, 60)
