"""Any change of the weights changes the fingerprint, however it was made and however small."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tiny
import whyclip


@pytest.fixture(scope="module")
def view() -> whyclip.ModelView:
    return whyclip.wrap(*tiny.openclip_parts())


def swap_two_rows(weight: Tensor) -> None:
    weight[:2] = weight[[1, 0]]


def change_one_number(weight: Tensor) -> None:
    weight[3, 5] += 1e-3


def change_two_numbers_by_opposite_steps(weight: Tensor) -> None:
    weight[7, 2] += 0.5
    weight[8, 2] -= 0.5


CHANGES = [swap_two_rows, change_one_number, change_two_numbers_by_opposite_steps]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("behind", [False, True], ids=["in place", "through .data"])
def test_a_change_in_one_tensor_is_noticed(
    view: whyclip.ModelView, change: Callable[[Tensor], None], behind: bool
) -> None:
    weight = view.module.transformer.resblocks[1].mlp.c_fc.weight
    kept, mark = weight.detach().clone(), view.fingerprint
    with torch.no_grad():
        # ``.data`` changes numbers without telling autograd's version counter.
        change(weight.data if behind else weight)
        assert view.fingerprint != mark
        weight.copy_(kept)
    assert view.fingerprint == mark


def test_every_tensor_counts(view: whyclip.ModelView) -> None:
    marks = {view.fingerprint}
    for name, parameter in view.module.named_parameters():
        kept = parameter.detach().clone()
        parameter.data.view(-1)[-1] += 0.01
        mark = view.fingerprint
        assert mark not in marks, name
        marks.add(mark)
        parameter.data.copy_(kept)


def test_the_next_checkpoint_in_the_same_module_is_another(view: whyclip.ModelView) -> None:
    mark, kept = view.fingerprint, {k: v.clone() for k, v in view.module.state_dict().items()}
    other = tiny.openclip_model(seed=1)
    view.module.load_state_dict(other.state_dict())
    assert view.fingerprint == whyclip.wrap(other, view.preprocess, view.tokenizer).fingerprint
    assert view.fingerprint != mark
    view.module.load_state_dict(kept)
    assert view.fingerprint == mark


def test_masks_that_are_not_saved_count(view: whyclip.ModelView) -> None:
    mark, mask = view.fingerprint, view.module.attn_mask
    assert "attn_mask" not in view.module.state_dict()
    kept = mask.clone()
    mask[0, 1] = 0
    assert view.fingerprint != mark
    mask.copy_(kept)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_kinds_of_numbers_are_read(dtype: torch.dtype) -> None:
    from whyclip.models.fingerprint import fingerprint

    layer = nn.Linear(5, 3).to(dtype)
    layer.register_buffer("seen", torch.zeros(3, dtype=torch.bool))
    layer.register_buffer("nothing", torch.zeros(0, 4))
    mark = fingerprint(layer)
    for tensor in (layer.weight, layer.bias, layer.seen):
        kept = tensor.detach().clone()
        tensor.data.view(-1)[-1] = 1
        assert fingerprint(layer) != mark
        tensor.data.copy_(kept)
    assert fingerprint(layer) == mark
