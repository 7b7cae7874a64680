"""Synthetic scenes as caption data, optionally with the true mask of each phrase."""

from __future__ import annotations

import re

from whyclip.errors import InputError, quoted, unknown
from whyclip.finetuning.batch import Example, Mask
from whyclip.finetuning.captions import Indexed
from whyclip.scenes.layout import SPLITS
from whyclip.scenes.scene import Scene, Scenes
from whyclip.scenes.sprites import load_atlas


class SceneCaptions(Indexed):
    """Scenes with their own captions.

    Args:
        scenes: drawn on access.
        true_masks: whether the phrases come with the masks of their objects. Otherwise they are
            extracted from the caption.
        fraction: share of the scenes.
        seed: of the choice of that share.
    """

    def __init__(
        self, scenes: Scenes, *, true_masks: bool = False, fraction: float = 1.0, seed: int = 0
    ) -> None:
        self.scenes, self.true_masks = scenes, true_masks
        self.may_be_marked = False
        super().__init__(f"scenes:{len(scenes)}", len(scenes), fraction=fraction, seed=seed)

    def read(self, item: int) -> Example:
        """Draw one scene."""
        scene = self.scenes[item]
        id = f"{self.scenes.split}-{scene.seed}"
        if not self.true_masks:
            return Example(id, scene.image, scene.caption)
        phrases = mentioned(scene)
        return Example(
            id, scene.image, scene.caption, tuple(phrases), tuple(phrases.values()) or None
        )


def mentioned(scene: Scene) -> dict[str, Mask]:
    """Find the objects that a scene's caption names.

    Returns:
        Visible pixels of each object by its phrase without the article (for example "red car").
        Hidden objects are excluded.
    """
    atlas = load_atlas()
    names = {
        name: thing
        for thing in scene.objects
        for name in (thing.name, *atlas.synonyms[atlas.concept(thing.name)])
    }
    places: dict[int, tuple[str, Mask]] = {}
    caption = scene.caption
    # Longer names first: "birthday cake" is not "cake".
    for name in sorted(names, key=len, reverse=True):
        thing = names[name]
        colour = f"(?:{thing.colour} )?" if thing.colour else ""
        match = re.search(rf"(?<![\w-]){colour}{re.escape(name)}(?![\w-])", caption)
        if match:
            places.setdefault(match.start(), (match.group(), thing.mask))
            caption = caption[: match.start()] + "#" * len(match.group()) + caption[match.end() :]
    return {words: mask for _, (words, mask) in sorted(places.items()) if mask.any()}


def open_scenes(
    rest: str, fraction: float, seed: int, true_masks: bool, split: str
) -> SceneCaptions:
    """Open ``N[:SEED]``.

    Raises:
        InputError: not one or two numbers.
        OptionError: the split is not known.
    """
    numbers = rest.split(":")
    if len(numbers) > 2 or not all(re.fullmatch(r"[0-9]{1,7}", number) for number in numbers):
        raise InputError(f"scenes:{quoted(rest)}; give the number of scenes and optionally a seed")
    for known in SPLITS:
        if split == known:
            scenes = Scenes(*map(int, numbers), split=known)
            return SceneCaptions(scenes, true_masks=true_masks, fraction=fraction, seed=seed)
    raise unknown("split", split, SPLITS)
