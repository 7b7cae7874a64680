"""Synthetic scenes as a dataset: each visible object gives a label and a mask."""

from __future__ import annotations

from functools import partial
from typing import Any

from whyclip.datasets.dataset import Dataset, Sample
from whyclip.datasets.kind import DatasetKind
from whyclip.errors import InputError
from whyclip.scenes.captions import phrase
from whyclip.scenes.interventions import SceneInterventions
from whyclip.scenes.scene import Scenes, concepts

# Number of scenes, seed, and number of objects.
_MOST_NUMBERS = 3


class SceneSamples(Dataset):
    """Scenes with object names as labels and phrases as prompts.

    Hidden objects are not labels. Names are distinct within a scene.

    Example:
        >>> sample = SceneSamples(10, objects=1)[3]
        >>> len(sample.labels), sample.masks[sample.labels[0]].shape
        (1, (224, 224))
    """

    name = "scenes"

    def __init__(self, n: int, seed: int = 0, **options: Any) -> None:
        """Create n scenes; the options are those of :class:`~whyclip.scenes.scene.Scenes`."""
        self.scenes = Scenes(n, seed, **options)
        unseen = self.scenes.held_out == "only"
        self.origin = f"held-out-{self.scenes.split}" if unseen else self.scenes.split
        self.classes = self.names = concepts()[: self.scenes.concepts]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.scenes)

    def prompt_of(self, label: str) -> str:
        """Write a class with its article, for example "an apple"."""
        return phrase(self.names[self.number_of(label)])

    def has_interventions(self) -> bool:
        """Return True: scenes can be redrawn with one change."""
        return True

    def contents(self) -> Any:
        """Parameters of the scenes."""
        parameters = dict(vars(self.scenes))
        # The key is omitted for all concepts, to match stored results from before the option.
        if parameters["concepts"] is None:
            del parameters["concepts"]
        return parameters

    def sample(self, index: int) -> Sample:
        """Make one scene."""
        scene = self.scenes[index]
        visible = [thing for thing in scene.objects if thing.mask.any()]
        return Sample(
            id=f"{self.origin}-{scene.seed}",
            source=scene.image,
            labels=tuple(thing.name for thing in visible),
            prompts=tuple(thing.phrase for thing in visible),
            masks={thing.name: thing.mask for thing in visible},
            interventions=SceneInterventions(scene, concepts=self.scenes.concepts),
        )


def _open(kind: str, rest: str, **options: Any) -> SceneSamples:
    numbers = (rest or "200").split(":")
    if len(numbers) > _MOST_NUMBERS or not all(number.isdecimal() for number in numbers):
        raise InputError(
            f"{kind}:{rest}; give the number of scenes, and optionally a seed and the number of "
            f"objects: {kind}:200:1 or {kind}:200:0:1"
        )
    n, *more = map(int, numbers)
    seed = more[0] if more else 0
    if len(more) > 1:
        options["objects"] = more[1]
    return SceneSamples(n, seed, **options)


FORM = "N[:SEED[:OBJECTS]]"
LAYOUT = "no files: N scenes are generated (default 200), with 1 to 4 objects or with OBJECTS each"
KINDS = (
    DatasetKind(
        name="scenes",
        title="Controlled scenes",
        source="built in",
        form=FORM,
        layout=LAYOUT,
        has_masks=True,
        open=partial(_open, "scenes"),
    ),
    DatasetKind(
        name="held-out-scenes",
        title="Synthetic scenes of objects in styles unseen by mini",
        source="built in",
        form=FORM,
        layout=f"{LAYOUT}; mini misclassifies about half of these objects",
        has_masks=True,
        open=partial(_open, "held-out-scenes", held_out="only"),
    ),
)
