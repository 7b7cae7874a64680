"""Maps from a copy of the model with shuffled weights, from the last block down."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import torch
from torch import Tensor, nn

from whyclip.forward.run import run_tower
from whyclip.models import ModelView, wrap
from whyclip.models.tower import Block, Tower
from whyclip.pipeline import attribute_text
from whyclip.progress import track
from whyclip.studies.audit.cases import AuditSetup
from whyclip.studies.audit.evidence import SampleEvidence, relevance_of
from whyclip.studies.audit.store import Store
from whyclip.studies.cases import Case
from whyclip.types import Side

LAST, HALF, EVERYTHING = "last block", "upper half", "everything"
# Share of each encoder's last blocks by stage; at least one block.
SHARES = {LAST: 0.0, "upper quarter": 0.25, HALF: 0.5, "upper three quarters": 0.75}


def copy_of(model: ModelView) -> tuple[ModelView, nn.Module]:
    """Copy a model with its weights and wrap the copy; the original is not modified."""
    assert model.module is not None, "a loaded or wrapped model has its module"
    module = deepcopy(model.module)
    return wrap(module, model.preprocess, model.tokenizer, model.name), module


@torch.no_grad()
def shuffle(parameters: Sequence[nn.Parameter], generator: torch.Generator) -> None:
    """Permute the entries of each parameter at random.

    This removes the learnt structure but keeps the scale of weights and activations.
    """
    for parameter in parameters:
        flat = parameter.detach().cpu().flatten()
        order = torch.randperm(len(flat), generator=generator)
        parameter.copy_(flat[order].view_as(parameter))


def parameters_of(block: Block) -> list[nn.Parameter]:
    """The distinct parameters of a block's modules."""
    modules = [part for part in vars(block).values() if isinstance(part, nn.Module)]
    return list({id(p): p for module in modules for p in module.parameters()}.values())


def stages_of(copy: ModelView, module: nn.Module) -> Iterator[tuple[str, list[nn.Parameter]]]:
    """Parameters of all encoders to shuffle at each stage, in addition to earlier stages."""
    done: set[int] = set()

    def new(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
        fresh = [p for p in parameters if id(p) not in done]
        done.update(map(id, fresh))
        return fresh

    towers: list[Tower] = [tower for tower in copy.towers if not tower.opaque]
    for stage, share in SHARES.items():
        blocks = [b for tower in towers for b in tower.blocks[-_count(tower, share) :]]
        fresh = new([p for block in blocks for p in parameters_of(block)])
        # In a shallow encoder, the upper quarter is only the last block.
        if fresh:
            yield stage, fresh
    yield EVERYTHING, new(list(module.parameters()))


def _count(tower: Tower, share: float) -> int:
    return max(1, ceil(share * len(tower.blocks)))


@dataclass
class Kept:
    """A sample for the stages.

    Attributes:
        key: key of its stored measurements.
        evidence: evidence to which the stages are added.
        case: its forward passes, run again only if a stage was not measured before.
    """

    key: str
    evidence: SampleEvidence
    case: Callable[[], Case] | None

    @cached_property
    def passes(self) -> Case:
        """The forward passes."""
        assert self.case is not None, "of an edited sample"
        return self.case()


def measure_shuffled(
    setup: AuditSetup, samples: Sequence[Kept], seed: int, store: Store | None = None
) -> tuple[str, ...]:
    """Explain the samples again at each stage, with the target embeddings of the original model.

    Returns:
        The names of the stages.
    """
    copy, module = copy_of(setup.model)
    generator = torch.Generator().manual_seed(seed)
    names = []
    for stage, parameters in stages_of(copy, module):
        shuffle(parameters, generator)
        names.append(stage)
        for sample in track(samples, f"weights shuffled: {stage}"):
            key = f"{sample.key} {stage}"
            relevance = store.get(key) if store else None
            if relevance is None:
                relevance = _explained_again(setup, sample.passes, copy)
                if store:
                    store.put(key, relevance)
            for name, sides in relevance.items():
                shuffled = sample.evidence.methods[name].shuffled
                for side, values in sides.items():
                    shuffled.setdefault(side, []).append(values)
    return tuple(names)


def _explained_again(
    setup: AuditSetup, case: Case, copy: ModelView
) -> dict[str, dict[Side, list[Tensor]]]:
    """Explain the image with the original prompts' embeddings, and the prompts with the image's."""
    targets, blocks = case.forward_pass.targets, setup.cases.image_blocks
    forward_pass = run_tower(copy.image, case.pixels, targets, keep=blocks)
    encoded = None
    if case.encoded.tokens is not None:
        encoded = replace(setup.cases.encode(case.prompts, copy), scale=case.encoded.scale)
    relevance: dict[str, dict[Side, list[Tensor]]] = {}
    for label, variant in setup.variants.items():
        sides = relevance.setdefault(label, {})
        if "image" in variant.sides:
            values = variant.relevance(forward_pass).values.detach().float().cpu()
            sides["image"] = list(values[0])
        if "text" in variant.sides and encoded is not None:
            result = attribute_text(variant, encoded, case.forward_pass.embedding)
            assert result.words is not None, "the text side has words"
            sides["text"] = [relevance_of(words) for words in result.words[0]]
    return relevance
