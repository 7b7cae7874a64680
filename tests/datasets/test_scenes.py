"""Scenes hold what they say they hold, to the pixel; the same seed gives the same scene."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from whyclip.errors import InputError, OptionError
from whyclip.scenes import COLOURS, Scenes, compose_scene, concepts, make_scene
from whyclip.scenes.captions import Claim, Writer, phrase, relation_of, truth
from whyclip.scenes.layout import Layout, keys_of, sample_layouts, uniforms
from whyclip.scenes.sprites import load_atlas


def plain_coverage(layout: Layout, slot: int, size: int) -> np.ndarray:
    """Compute one object's alpha pixel by pixel, from the definition of bilinear sampling."""
    atlas = load_atlas()
    sprite = atlas.pixels[layout.style[0, slot], layout.variant[0, slot], 3].numpy()
    side = sprite.shape[0]
    turn = math.radians(layout.angle[0, slot])
    out = np.zeros((size, size))
    for row in range(size):
        for column in range(size):
            dx = column + 0.5 - layout.x[0, slot]
            dy = row + 0.5 - layout.y[0, slot]
            u = math.cos(turn) * dx + math.sin(turn) * dy
            v = math.cos(turn) * dy - math.sin(turn) * dx
            if layout.flip[0, slot]:
                u = -u
            # From a square of the object's size onto the sprite's pixel centres.
            sx = (u / layout.size[0, slot] + 0.5) * side - 0.5
            sy = (v / layout.size[0, slot] + 0.5) * side - 0.5
            x0, y0 = math.floor(sx), math.floor(sy)
            for y in (y0, y0 + 1):
                for x in (x0, x0 + 1):
                    if 0 <= x < side and 0 <= y < side:
                        share = (1 - abs(sx - x)) * (1 - abs(sy - y))
                        out[row, column] += share * sprite[y, x]
    return out


@pytest.mark.parametrize("seed", [0, 1, 5])
def test_masks_are_the_visible_pixels_of_a_plain_compositing(seed: int) -> None:
    scene = make_scene(seed, objects=4)
    layout = sample_layouts(load_atlas(), keys_of(np.array([seed]), "val"), objects=(4, 4))
    covers = [plain_coverage(layout, slot, 224) for slot in range(4)]
    for slot, item in enumerate(scene.objects):
        visible = covers[slot] > 0.5
        sure = np.abs(covers[slot] - 0.5) > 1e-4
        for later in covers[slot + 1 :]:
            visible &= ~(later > 0.5)
            sure &= np.abs(later - 0.5) > 1e-4
        assert (item.mask == visible)[sure].all()
        assert sure.mean() > 0.99


def test_boxes_are_tight_and_masks_disjoint() -> None:
    for scene in Scenes(20, seed=1):
        total = np.zeros((224, 224), dtype=int)
        for item in scene.objects:
            total += item.mask
            left, top, right, bottom = item.box
            assert item.mask[top:bottom, left:right].sum() == item.mask.sum() > 100
            assert item.mask[top].any()
            assert item.mask[bottom - 1].any()
            assert item.mask[:, left].any()
            assert item.mask[:, right - 1].any()
        assert total.max() == 1


def test_a_seed_is_a_scene_whatever_is_asked_beside_it() -> None:
    one, again = make_scene(11), Scenes(20)[11]
    assert one.image.tobytes() == again.image.tobytes()
    assert one.caption == again.caption
    assert make_scene(12).image.tobytes() != one.image.tobytes()


def test_splits_never_share_a_scene() -> None:
    seeds = np.arange(5000)
    keys = [keys_of(seeds, split) for split in ("train", "val", "test")]
    assert len(np.unique(np.concatenate(keys))) == 15000
    assert len(np.unique(uniforms(np.concatenate(keys), 4).round(12), axis=0)) == 15000
    assert make_scene(3, split="train").image.tobytes() != make_scene(3).image.tobytes()


def test_uniforms_are_uniform() -> None:
    u = uniforms(np.arange(20000, dtype=np.uint64), 6)
    counts = np.stack([np.histogram(column, 10, (0, 1))[0] for column in u.T])
    # Chi-squared with 9 degrees of freedom passes 33.7 once in ten thousand.
    assert (((counts - 2000) ** 2 / 2000).sum(1) < 33.7).all()
    assert np.abs(np.corrcoef(u.T) - np.eye(6)).max() < 0.04


def test_training_never_draws_a_held_out_pair() -> None:
    atlas = load_atlas()
    layout = sample_layouts(atlas, keys_of(np.arange(4000), "train"))
    there = layout.concept >= 0
    assert not atlas.held_out[layout.concept[there], layout.style[there]].any()
    only = sample_layouts(atlas, keys_of(np.arange(400), "test"), held_out="only")
    there = only.concept >= 0
    assert atlas.held_out[only.concept[there], only.style[there]].all()
    assert 0.08 < atlas.held_out.mean() < 0.12
    assert atlas.held_out.sum(1).max() == 1


def test_objects_of_a_scene_are_distinct_and_all_appear() -> None:
    atlas = load_atlas()
    layout = sample_layouts(atlas, keys_of(np.arange(6000), "train"), objects=(4, 4))
    assert all(len(set(row)) == 4 for row in layout.concept)
    counts = np.bincount(layout.concept.ravel(), minlength=len(atlas.names))
    assert counts.min() > 0.5 * counts.mean()
    assert counts.max() < 1.5 * counts.mean()
    assert set(layout.style.ravel()) == {0, 1, 2}


def test_captions_name_only_what_is_there() -> None:
    atlas = load_atlas()
    writer = Writer(atlas)
    layout = sample_layouts(atlas, keys_of(np.arange(500), "val"))
    written = [writer.caption(layout, row) for row in range(500)]
    true, _ = truth([claim for _, claim in written], layout)
    assert true.diagonal().all()
    for row, (text, claim) in enumerate(written):
        for concept, colour in claim.objects:
            assert concept in layout.concept[row]
            names = (atlas.names[concept], *atlas.synonyms[concept])
            assert any(name in text for name in names)
            if colour >= 0:
                assert tuple(COLOURS)[colour] in text


def test_truth_is_decided_as_a_plain_reading_would() -> None:
    scene = compose_scene(
        [("dog", None, None, (0.2, 0.5)), ("car", "red", None, (0.8, 0.5))],
    )
    assert [o.phrase for o in scene.objects] == ["a dog", "a red car"]
    atlas = load_atlas()
    dog, car = atlas.concept("dog"), atlas.concept("car")
    red, blue = tuple(COLOURS).index("red"), tuple(COLOURS).index("blue")
    layout = sample_layouts(atlas, keys_of(np.array([0]), "val"), objects=(2, 2))
    layout.concept[0, :2], layout.colour[0, :2] = (dog, car), (-1, red)
    layout.x[0, :2], layout.y[0, :2] = (50, 170), (110, 110)
    claims = [
        Claim(((dog, -1),)),
        Claim(((car, red), (dog, -1))),
        Claim(((car, blue),)),
        Claim(((dog, blue),)),
        Claim(((dog, -1), (car, -1)), 0),
        Claim(((car, -1), (dog, -1)), 0),
    ]
    true, undecidable = truth(claims, layout)
    assert true[0].tolist() == [True, True, False, False, True, False]
    assert undecidable[0].tolist() == [False, False, False, True, False, False]


def test_relations_and_phrases() -> None:
    assert [relation_of(-50, 0), relation_of(50, 0), relation_of(0, -50), relation_of(0, 50)] == [
        *range(4)
    ]
    assert relation_of(5, 5) == -1
    assert phrase("apple") == "an apple"
    assert phrase("unicorn") == "a unicorn"
    assert phrase("car", "orange") == "an orange car"
    assert phrase("grapes") == "grapes"
    assert phrase("octopus") == "an octopus"
    assert phrase("cactus", "red") == "a red cactus"
    assert phrase("dog", None, article=False) == "dog"


@pytest.mark.parametrize("colour", list(COLOURS))
def test_a_tint_is_plainly_seen(colour: str) -> None:
    scene = compose_scene([("car", colour, None, (0.5, 0.5))])
    seen = np.asarray(scene.image)[scene.objects[0].mask].mean(0) / 255
    nearest = min(COLOURS, key=lambda c: float(np.abs(np.array(COLOURS[c]) - seen).sum()))
    assert nearest == colour


def test_composed_scenes_put_things_where_they_were_wished() -> None:
    scene = compose_scene([("dog", None, "fluent", (0.25, 0.75))], size=(448, 224), seed=4)
    assert scene.image.size == (448, 224)
    left, top, right, bottom = scene.objects[0].box
    assert abs((left + right) / 2 - 112) < 12
    assert abs((top + bottom) / 2 - 168) < 12
    assert isinstance(scene.image, Image.Image)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"objects": 5}, "1..4"),
        ({"objects": (3, 2)}, "1..4"),
        ({"split": "tset"}, "test"),
        ({"held_out": "onyl"}, "only"),
        ({"size": 10}, "at least"),
    ],
)
def test_wrong_options_are_named(wish: dict[str, object], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        make_scene(0, **wish)  # type: ignore[arg-type]


def test_wrong_wishes_are_named() -> None:
    with pytest.raises(InputError, match="elephant"):
        compose_scene([("elefant", None, None, (0.5, 0.5))])
    with pytest.raises(InputError, match="purple"):
        compose_scene([("dog", "purpel", None, (0.5, 0.5))])
    with pytest.raises(OptionError, match="seeds must be"):
        make_scene(-1)


def test_there_are_enough_concepts() -> None:
    names = concepts()
    assert len(names) == len(set(names)) >= 150
    assert {"dog", "cat", "car", "apple", "bicycle", "tree"} <= set(names)


def test_a_collection_is_a_sequence() -> None:
    scenes = Scenes(5, seed=2, objects=2)
    assert len(scenes) == 5
    assert len(scenes[1:3]) == 2
    assert scenes[-1].seed == 2_000_004
    assert all(len(s.objects) == 2 for s in scenes)
    with pytest.raises(IndexError):
        scenes[5]
