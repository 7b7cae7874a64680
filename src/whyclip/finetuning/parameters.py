"""Choose the trained parameters, and restore the user's module afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from whyclip.errors import OptionError, UnsupportedModelError
from whyclip.finetuning.batch import token_ids
from whyclip.finetuning.passes import run_with_gradients
from whyclip.finetuning.settings import Settings
from whyclip.models import ModelView
from whyclip.models.tower import ImageTower, TextTower


@contextmanager
def prepared(view: ModelView, settings: Settings) -> Iterator[nn.Module]:
    """Choose the parameters that are trained and put the module into training mode.

    Afterwards, also after an error, all modes and ``requires_grad`` flags are restored. Adapters
    are merged into the weights.

    Raises:
        OptionError: PEFT is not installed, or no layer can take an adapter.
    """
    module = module_of(view)
    modes = {part: part.training for part in module.modules()}
    needs = {parameter: parameter.requires_grad for parameter in module.parameters()}
    image, text = read_parameters(view)
    # Parts that no loss uses, such as the decoder of CoCa, are not trained.
    trained = image | _scales(module) if settings.freeze_text else image | text | _scales(module)
    with ExitStack() as stack:
        stack.callback(_give_back, modes, needs)
        for parameter in module.parameters():
            parameter.requires_grad_(parameter in trained)
            parameter.grad = None
        if settings.lora:
            from whyclip.finetuning.lora import adapters

            stack.enter_context(
                adapters(view, settings.lora, skip=text if settings.freeze_text else ())
            )
        module.train()
        yield module


def _scales(module: nn.Module) -> set[nn.Parameter]:
    scales = (getattr(module, name, None) for name in ("logit_scale", "logit_bias"))
    return {parameter for parameter in scales if isinstance(parameter, nn.Parameter)}


def _give_back(modes: dict[nn.Module, bool], needs: dict[nn.Parameter, bool]) -> None:
    for part, training in modes.items():
        part.training = training
    for parameter, needed in needs.items():
        parameter.requires_grad_(needed)
        parameter.grad = None


def module_of(view: ModelView) -> nn.Module:
    """Return the user's module.

    Raises:
        UnsupportedModelError: there is no module, it is a plain classifier, or its weights are
            not float32.
    """
    if view.module is None:
        raise UnsupportedModelError(f"{view.name} was created without its module")
    if view.classes is not None:
        raise UnsupportedModelError(
            f"{view.name} is a classifier without a text encoder; fine-tuning on captions needs one"
        )
    for name, parameter in view.module.named_parameters():
        if parameter.dtype != torch.float32:
            kind = str(parameter.dtype).removeprefix("torch.")
            raise UnsupportedModelError(
                f"{view.name}: weight {name!r:.60} is {kind}; training needs float32 weights: "
                "call model.float() and wrap it again"
            )
    return view.module


def read_parameters(view: ModelView) -> tuple[set[nn.Parameter], set[nn.Parameter]]:
    """Find the parameters that the image embedding and the text embedding depend on.

    The losses also use the logit scale and bias, and no other parameters.
    """
    pixels = torch.zeros(1, 3, *view.image.input_size, device=view.image.device)
    ids = token_ids(view, ["a dog"]).to(view.text.device)
    return _read(view, view.image, pixels), _read(view, view.text, ids)


def _read(view: ModelView, tower: ImageTower | TextTower, inputs: Tensor) -> set[nn.Parameter]:
    parameters = list(module_of(view).parameters())
    needs = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            total = run_with_gradients(tower, inputs).unit.sum()
        gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    finally:
        for parameter, needed in zip(parameters, needs, strict=True):
            parameter.requires_grad_(needed)
    pairs = zip(parameters, gradients, strict=True)
    return {parameter for parameter, gradient in pairs if gradient is not None}


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Split trained parameters into those with and those without weight decay.

    Norms, biases, class tokens and the logit scale have fewer than two axes and no decay.

    Raises:
        OptionError: nothing is trained.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not trained:
        raise OptionError("no parameter is trained; remove freeze_text or lora")
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def counts(module: nn.Module) -> tuple[int, int]:
    """Count the trained parameters and all parameters."""
    parameters = list(module.parameters())
    trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    return trained, sum(parameter.numel() for parameter in parameters)
