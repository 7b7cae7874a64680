"""The decomposition of many targets, which maps tokens forward, equals that of one at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import families
import whyclip
from whyclip.errors import OptionError
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.methods import METHODS
from whyclip.methods.decomposition import check_sum

TOWERS = [
    (family, side)
    for family in families.SMALL
    for side in ("image", "text")
    if side == "text" or family not in families.BLIND
]


@pytest.mark.parametrize(("family", "side"), TOWERS)
def test_both_routes_give_the_same_relevance(family: str, side: str) -> None:
    view = whyclip.wrap(*families.SMALL[family]())
    tower = view.image if side == "image" else view.text
    relevance = METHODS["decomposition"].relevance
    if side == "image":
        size = (2, 3, *view.image.input_size)
        inputs = torch.randn(size, generator=torch.Generator().manual_seed(0))
    else:
        inputs = tokenize(view.tokenizer, families.TEXTS, view.text.context).ids
    tokens = run_tower(tower, inputs, Targets(torch.ones(1, view.width)), keep=0).content_mask
    count = 3 + tokens.shape[1]
    directions = F.normalize(
        torch.randn(count, view.width, generator=torch.Generator().manual_seed(0)), dim=-1
    )
    together = run_tower(tower, inputs, Targets(directions), keep=len(tower.blocks))
    try:
        check_sum(tower)
    except OptionError:
        # Only towers whose output is a sum over the layers have direct contributions.
        with pytest.raises(OptionError):
            relevance(together)
        return
    result = relevance(together)
    assert float(result.diagnostics["additivity gap"].abs().max()) < 1e-4
    for number in (0, count - 1):
        alone = relevance(together.with_targets(together.targets[number : number + 1]))
        difference = (alone.values[:, 0] - result.values[:, number]).abs().max()
        assert float(difference) < 1e-5 * float(alone.values.abs().max())
        assert float(alone.values.abs().max()) > 0
