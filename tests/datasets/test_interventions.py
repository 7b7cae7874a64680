"""An intervention changes what it says, to the pixel and to the word, and nothing else."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest

from whyclip.datasets.scenes import SceneSamples
from whyclip.errors import OptionError
from whyclip.inputs.words import words_of
from whyclip.scenes import COLOURS, Scene, compose_scene, concepts, make_scene
from whyclip.scenes.captions import _FRAMES, _JOINTS, RELATIONS, phrase
from whyclip.scenes.interventions import IMAGE_EDITS, ImageEdit, SceneInterventions

SEEDS = (3, 11, 25, 42)


@lru_cache(maxsize=8)
def scene_of(seed: int) -> Scene:
    return make_scene(seed, objects=(2, 4))


@lru_cache(maxsize=8)
def edits_of(seed: int) -> tuple[ImageEdit, ...]:
    return SceneInterventions(scene_of(seed)).images()


def pixels_of(image: object) -> np.ndarray:
    return np.asarray(image).astype(int)


def square(scene: Scene, number: int) -> np.ndarray:
    """All pixels that the turned square of a sprite can reach."""
    layout, slot = scene.layout, scene.slots[number]
    reach = layout.size[0, slot] / 2 * math.sqrt(2) + 2
    y, x = np.mgrid[:224, :224] + 0.5
    return np.maximum(abs(y - layout.y[0, slot]), abs(x - layout.x[0, slot])) <= reach


@pytest.mark.parametrize("seed", SEEDS)
def test_every_pixel_away_from_the_changed_object_is_the_same(seed: int) -> None:
    scene, before = scene_of(seed), pixels_of(scene_of(seed).image)
    names = [thing.name for thing in scene.objects]
    for edit in edits_of(seed):
        if edit.kind in {"background", "moved"}:
            continue
        number = names.index(edit.label)
        changed = (pixels_of(edit.image) != before).any(-1)
        assert changed.any()
        assert not (changed & ~square(scene, number)).any()
        assert (edit.mask == scene.objects[number].mask).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_without_an_object_its_pixels_show_the_background(seed: int) -> None:
    scene = scene_of(seed)
    plain = pixels_of(SceneInterventions(scene).background)
    near = [square(scene, number) for number in range(len(scene.objects))]
    for number, thing in enumerate(scene.objects):
        [edit] = [e for e in edits_of(seed) if e.kind == "removed" and e.label == thing.name]
        alone = near[number].copy()
        for other, area in enumerate(near):
            alone &= ~area if other != number else area
        assert alone.any()
        assert (pixels_of(edit.image)[alone] == plain[alone]).all()


def test_the_background_is_that_of_the_scene_where_no_object_is() -> None:
    for seed in SEEDS:
        scene = scene_of(seed)
        away = ~np.any([square(scene, i) for i in range(len(scene.objects))], 0)
        [edit] = [e for e in edits_of(seed) if e.kind == "background"]
        assert (pixels_of(edit.image)[away] == pixels_of(scene.image)[away]).all()
        assert (edit.mask == np.any([thing.mask for thing in scene.objects], 0)).all()


def covered() -> Scene:
    """A dog half in front of a car, and a tree away from both."""
    items = [("car", None, None, (0.3, 0.3)), ("dog", None, None, (0.4, 0.35))]
    return compose_scene([*items, ("tree", "red", None, (0.8, 0.8))], seed=4)


def test_an_edit_is_clean_if_no_visible_pixel_of_another_object_changed() -> None:
    scenes = [*map(scene_of, SEEDS), covered()]
    verdicts = set()
    for scene in scenes:
        before = pixels_of(scene.image)
        for edit in SceneInterventions(scene).images(["removed", "recoloured", "exchanged"]):
            others = [thing.mask for thing in scene.objects if thing.name != edit.label]
            same = all((pixels_of(edit.image)[m] == before[m]).all() for m in others)
            if edit.kind == "recoloured":
                assert edit.clean == same
            # Without an object, another one may show more of itself, which changes its mask.
            assert not edit.clean or same
            verdicts.add(edit.clean)
    assert verdicts == {True, False}


def test_what_was_hidden_behind_an_object_makes_its_removal_unclean() -> None:
    edits = SceneInterventions(covered()).images(["removed"])
    assert {edit.label: edit.clean for edit in edits} == {"car": False, "dog": False, "tree": True}


@pytest.mark.parametrize("kind", IMAGE_EDITS)
def test_edits_do_not_depend_on_what_else_is_drawn(kind: str) -> None:
    for seed in SEEDS:
        together = [e for e in edits_of(seed) if e.kind == kind]
        alone = SceneInterventions(scene_of(seed)).images([kind])  # type: ignore[list-item]
        assert len(alone) == len(together)
        for a, b in zip(alone, together, strict=True):
            assert (pixels_of(a.image) == pixels_of(b.image)).all()
            assert (a.label, a.clean) == (b.label, b.clean)


def test_an_edited_scene_equals_the_scene_composed_that_way() -> None:
    items = [("car", "red", None, (0.3, 0.3)), ("dog", None, None, (0.7, 0.7))]
    scene = compose_scene(items, seed=4)
    made = SceneInterventions(scene)
    [car, dog] = made.images(["removed"])
    assert (pixels_of(dog.image) == pixels_of(compose_scene(items[:1], seed=4).image)).all()
    assert (pixels_of(car.image) == pixels_of(compose_scene(items[1:], seed=4).image)).all()
    [painted, _] = made.images(["recoloured"])
    versions = [
        compose_scene([("car", colour, None, (0.3, 0.3)), items[1]], seed=4).image
        for colour in COLOURS
        if colour != "red"
    ]
    same = [(pixels_of(version) == pixels_of(painted.image)).all() for version in versions]
    assert sum(same) == 1


def test_an_exchanged_object_is_none_of_the_scene_and_keeps_to_the_first_concepts() -> None:
    data = SceneSamples(12, 5, concepts=16, objects=(1, 2))
    assert data.classes == concepts()[:16]
    for sample in data:
        assert set(sample.labels) <= set(data.classes)
        assert sample.interventions is not None
        for probe in sample.interventions.probes():
            for word in (probe.prompt, *(edit.prompt for edit in probe.edits)):
                left = concepts()[16:]
                assert not any(f" {name} " in f" {word} " for name in left)


def two_noun_captions(parts: tuple[str, str]) -> set[str]:
    a, b = parts
    joined = {f"{a} {joint} {b}" for joint in _JOINTS}
    texts = {frame.format(text) for frame in _FRAMES[:-1] for text in joined}
    relations = {*RELATIONS, "left of", "right of"}
    return texts | {f"{a} {relation} {b}" for relation in relations}


@lru_cache(maxsize=1)
def phrases() -> frozenset[str]:
    colours = (None, *COLOURS)
    return frozenset(phrase(name, colour) for name in concepts() for colour in colours)


def is_training_caption(text: str) -> bool:
    for frame in _FRAMES:
        before, after = frame.split("{}")
        if text.startswith(before) and text.endswith(after):
            inner = text[len(before) : len(text) - len(after)]
            if inner in phrases():
                return True
    joints = [*_JOINTS, *RELATIONS]
    halves = [text.split(f" {joint} ") for joint in joints if f" {joint} " in text]
    return any(
        len(parts) == 2
        and set(parts) <= phrases()
        and text in two_noun_captions((parts[0], parts[1]))
        for parts in halves
    )


def test_every_wording_is_one_of_the_training_captions() -> None:
    assert not is_training_caption("car a red")
    kinds = set()
    for sample in SceneSamples(40, 7):
        made = sample.interventions
        assert made is not None
        texts = [edit for i in range(len(sample.prompts)) for edit in made.texts(i)]
        for probe in made.probes():
            assert is_training_caption(probe.prompt), probe.prompt
            assert probe.label in sample.labels
            texts += probe.edits
        for edit in texts:
            assert is_training_caption(edit.prompt), edit.prompt
            kinds.add(edit.kind)
    assert kinds == {"colour", "noun", "relation", "no_adjective"}


def test_only_the_named_words_change_beside_articles() -> None:
    for sample in SceneSamples(30, 8):
        made = sample.interventions
        assert made is not None
        pairs = [(p, e) for i, p in enumerate(sample.prompts) for e in made.texts(i)]
        pairs += [(probe.prompt, e) for probe in made.probes() for e in probe.edits]
        for prompt, edit in pairs:
            before = [word for word, *_ in words_of(prompt)]
            left = [word for i, word in enumerate(before) if i not in edit.words]
            after = [word for word, *_ in words_of(edit.prompt)]
            articles = {"a", "an"}
            rest = [word for word in left if word not in articles]
            kept = [word for word in after if word not in articles]
            # What is left is found in the changed prompt, in the same order.
            walk = iter(kept)
            assert all(word in walk for word in rest), (prompt, edit)
            assert edit.words
            if edit.kind in {"colour", "no_adjective"}:
                assert before[edit.words[0]] in COLOURS
            if edit.kind == "no_adjective":
                assert rest == kept
            else:
                assert prompt != edit.prompt


def test_the_same_seed_gives_the_same_interventions() -> None:
    one, other = (SceneSamples(3, 9)[2].interventions for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.probes() == other.probes()
    assert one.texts(0) == other.texts(0)
    assert all((a.mask == b.mask).all() for a, b in zip(one.images(), other.images(), strict=True))


def test_what_is_painted_on_a_scene_stays_in_every_edit() -> None:
    def badge(image: np.ndarray) -> np.ndarray:
        marked = image.copy()
        marked[:8, :8] = (255, 0, 0)
        return marked

    for edit in SceneInterventions(scene_of(3), paint=badge).images():
        assert (pixels_of(edit.image)[:8, :8] == (255, 0, 0)).all()


def test_unknown_kinds_and_too_few_concepts_are_refused() -> None:
    with pytest.raises(OptionError, match="removd"):
        SceneInterventions(scene_of(3)).images(["removd"])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="concepts=3"):
        SceneSamples(2, concepts=3, objects=1)[0]


def test_other_data_has_no_interventions() -> None:
    from audit_toy import Toy

    assert Toy(1)[0].interventions is None
