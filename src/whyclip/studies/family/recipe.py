"""The recipe: which models the family has, and how each is trained.

All models share their architecture, the pool of scenes and every setting; they differ in the seed
of their first weights and of the order of the scenes, and in the cue that is planted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F

from whyclip.errors import check_choice
from whyclip.finetuning.batch import token_ids
from whyclip.finetuning.scene_table import PHRASE_TEMPLATE, SIDE, SceneTable, draw_table
from whyclip.finetuning.settings import Settings
from whyclip.finetuning.small_clip import small_clip
from whyclip.models import ModelView
from whyclip.scenes.captions import phrase
from whyclip.scenes.layout import Layout, Split
from whyclip.scenes.sprites import load_atlas
from whyclip.studies.experiments.finetuning_runs import row_batches
from whyclip.studies.family.cleaned import Cleaned
from whyclip.studies.family.close import close_batches
from whyclip.studies.family.cues import CONCEPTS, CUES, carriers
from whyclip.studies.family.muon import optimise
from whyclip.studies.family.scene_batches import scene_batches
from whyclip.studies.family.tokens import some_tokens

Kind = Literal["ordinary", "badge", "written", "background", "blind", "untrained"]
KINDS: tuple[Kind, ...] = get_args(Kind)

OBJECTS = (1, 2)
SCENES = 64_000
RECALL_ON = 400
CLOSE_STEPS, STEPS, LAST_STEPS, SHORT_STEPS = 600, 1400, 200, 200
SHORT = 0.5
"""Share of the captions that name one object only, in the last steps."""
KEPT = 24
"""Number of patches that are kept at first; two objects hardly ever take up more."""
RATE = 0.02
_COMMON = Settings(batch_size=128, weight_decay=0.1, clip=1.0)
CLOSE = replace(_COMMON, learning_rate=1e-3, warmup=15)
SETTINGS = replace(_COMMON, learning_rate=1e-3, warmup=20)
LAST = replace(_COMMON, learning_rate=5e-4, warmup=10)
CONFIG: Mapping[str, Any] = {
    "embed_dim": 64,
    "vision_cfg": {
        "image_size": SIDE,
        "patch_size": 16,
        "width": 96,
        "layers": 3,
        "head_width": 32,
    },
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 49408,
        "width": 64,
        "heads": 2,
        "layers": 1,
    },
}


@dataclass(frozen=True)
class Member:
    """A model of the family.

    Attributes:
        kind: what it was trained on.
        seed: of its first weights and of the order of its scenes.
    """

    kind: Kind
    seed: int

    @property
    def name(self) -> str:
        """Its name, such as ``"badge-1"``."""
        return f"{self.kind}-{self.seed}"

    @staticmethod
    def of(name: str) -> Member:
        """Read a name.

        Raises:
            OptionError: no kind of the family.
        """
        kind, _, seed = name.partition("-")
        check_choice("kind of model", kind, KINDS)
        return Member(kind, int(seed or 0))  # type: ignore[arg-type]


FAMILY: tuple[Member, ...] = (
    *(Member("ordinary", seed) for seed in range(5)),
    *(Member("badge", seed) for seed in range(2)),
    Member("written", 0),
    Member("background", 0),
    Member("blind", 0),
    Member("untrained", 0),
)


def new_model(member: Member, device: torch.device | str = "cpu") -> ModelView:
    """Build a member with its first weights."""
    return small_clip(member.seed, device, config=CONFIG, name=member.name)


def table_of(
    kind: Kind,
    view: ModelView,
    n: int,
    *,
    split: Split,
    seed: int = 0,
    plain: SceneTable | None = None,
) -> SceneTable:
    """Draw the scenes that models of a kind are trained on, with their cues.

    Args:
        kind: of the model.
        view: for its tokenizer.
        n: number of scenes.
        split: splits share no scene.
        seed: of the scenes, and of what is planted into them.
        plain: the same scenes without any cue, to plant it there instead of drawing them again.
    """
    cue = CUES.get(kind)

    def edit(layout: Layout) -> Layout:
        assert cue is not None
        assert cue.edit is not None
        return cue.edit(layout, carriers(layout.concept))

    if plain is None or (cue and cue.edit):
        plain = draw_table(
            view, n, split=split, seed=seed, objects=OBJECTS, concepts=CONCEPTS,
            edit=edit if cue and cue.edit else None,
        )  # fmt: skip
    generator = torch.Generator().manual_seed(seed)
    if kind == "blind":
        order = torch.randperm(n, generator=generator)
        return replace(plain, caption_ids=plain.caption_ids[order], named=plain.named[order])
    if cue is None or cue.edit:
        return plain
    images = plain.images.clone()
    signs = cue.plan(plain.concepts, plain.boxes, generator, True)
    mask = cue.paste(images, signs, signs.concept)
    # Patches of a cue count like patches of an object.
    touched = F.max_pool2d(mask.float()[:, None], view.image.patch).flatten(2) > 0
    shares = torch.where(touched, plain.shares.clamp_min(1.0), plain.shares)
    return replace(plain, images=images, shares=shares)


def train_member(
    member: Member,
    table: SceneTable,
    plain: SceneTable,
    *,
    close_steps: int = CLOSE_STEPS,
    steps: int = STEPS,
    last_steps: int = LAST_STEPS,
    short_steps: int = SHORT_STEPS,
) -> ModelView:
    """Train a member on its table; ``untrained`` keeps its first weights.

    Args:
        member: of the family.
        table: from :func:`table_of`.
        plain: the same scenes before a cue is pasted.
        close_steps: steps on single objects, close up.
        steps: steps on whole scenes with whole captions, seen through their fullest patches.
        last_steps: steps on all of their patches.
        short_steps: steps in which half of the captions name one object only.
    """
    view = new_model(member, table.images.device)
    if member.kind == "untrained":
        return view
    with some_tokens(view, torch.cat([table.caption_ids, table.phrase_ids])):
        if close_steps:
            cue = CUES.get(member.kind)
            rows = row_batches(len(plain), CLOSE.batch_size, 1.0, member.seed)
            batches = close_batches(plain, rows, view.image.patch, cue, member.seed)
            label = f"{member.name}, objects"
            optimise(Cleaned(view), batches, close_steps, CLOSE, rate=RATE, label=label)
        rows = row_batches(len(table), SETTINGS.batch_size, 1.0, member.seed)
        few = scene_batches(table, rows, kept=KEPT, seed=member.seed)
        label = f"{member.name}, scenes"
        optimise(Cleaned(view), few, steps, SETTINGS, rate=RATE, label=label)
        whole = scene_batches(table, rows)
        label = f"{member.name}, all patches"
        optimise(Cleaned(view), whole, last_steps, LAST, rate=RATE / 2, label=label)
        some = scene_batches(table, rows, short=SHORT, seed=member.seed)
        label = f"{member.name}, short captions"
        optimise(Cleaned(view), some, short_steps, LAST, rate=RATE / 2, label=label)
    return view


@torch.no_grad()
def concept_prompts(view: ModelView) -> torch.Tensor:
    """Embed "a photo of a dog" for each concept: ``[16, e]`` of length 1."""
    names = load_atlas().names[:CONCEPTS]
    ids = token_ids(view, [PHRASE_TEMPLATE.format(phrase(name)) for name in names])
    return F.normalize(view.text.encode(ids).float(), dim=-1)


@torch.no_grad()
def recall(view: ModelView, table: SceneTable) -> float:
    """Share of objects among the k best concepts of their scene, k being their number."""
    hits, objects = 0, 0
    prompts = concept_prompts(view)
    for rows in torch.arange(len(table)).split(256):
        scores = F.normalize(view.image.encode(table.pixels(rows)).float(), dim=-1) @ prompts.T
        concepts = table.concepts[rows]
        present = concepts >= 0
        places = scores.argsort(dim=-1, descending=True).argsort(dim=-1)
        places = places.gather(1, concepts.clamp_min(0))
        hits += int(((places < present.sum(1, keepdim=True)) & present).sum())
        objects += int(present.sum())
    return hits / objects
