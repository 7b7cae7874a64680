"""Parts of a model as affine maps, frozen at a given input.

A norm keeps the deviation that it divided by, an activation f keeps its secant f(z)/z, and a gated
MLP keeps its gate. Each part then gives the same result at that input, and its output splits into
summands like the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whyclip.errors import UnsupportedModelError

# Below this, f(z)/z is replaced by its limit f'(0), because the quotient of two tiny numbers is
# inaccurate.
NEAR_ZERO = 1e-30
# A map is affine if twice the input gives twice the output, up to this relative error.
NONLINEAR = 0.01


@dataclass(frozen=True)
class Affine:
    """The map ``linear(x) + constant``, which may differ between inputs of a batch.

    Attributes:
        linear: ``[b, p, w]`` to ``[b, p, w']``, for p summands of each input.
        constant: ``[b, w']`` or ``[1, w']``.
    """

    linear: Callable[[Tensor], Tensor]
    constant: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map whole inputs ``[b, w]`` to ``[b, w']``."""
        return self.linear(x[:, None])[:, 0] + self.constant

    def split(self, parts: Tensor) -> Tensor:
        """Map summands ``[b, p, w]`` to ``[b, p, w']``; the constant is added to the last one."""
        mapped = self.linear(parts)
        mapped[:, -1] += self.constant
        return mapped


Freeze: TypeAlias = Callable[[Tensor], Affine]
"""Function that freezes a step at its input ``[b, w]``."""

Step: TypeAlias = nn.Module | Freeze | None
"""A module of the library, a function that freezes a step, or None for no step."""


def chain(x: Tensor, *steps: Step) -> Affine:
    """Freeze consecutive steps, starting with the input ``x`` ``[b, w]``.

    Raises:
        UnsupportedModelError: a module is not affine, and not a norm, activation or MLP.
    """
    maps: list[Affine] = []
    for step in steps:
        if isinstance(step, nn.Module):
            maps.append(_module(step, x))
        elif step is not None:
            maps.append(step(x))
        else:
            continue
        x = maps[-1](x)

    def linear(parts: Tensor) -> Tensor:
        for part in maps:
            parts = part.linear(parts)
        return parts

    constant = torch.zeros((), dtype=x.dtype, device=x.device)
    for part in maps:
        constant = part(constant) if constant.ndim else part.constant
    return Affine(linear, constant)


def residual(x: Tensor, *steps: Step) -> Affine:
    """Freeze ``x + steps(x)`` at ``x`` ``[b, w]``."""
    inner = chain(x, *steps)
    return Affine(lambda parts: parts + inner.linear(parts), inner.constant)


def identity(x: Tensor) -> Affine:
    """Return the identity map."""
    return Affine(lambda parts: parts, torch.zeros_like(x[:1]))


def matrix(weight: Tensor, bias: Tensor | None) -> Freeze:
    """Make a step that multiplies by a matrix ``[w', w]`` and adds a bias ``[w']``."""

    def freeze(x: Tensor) -> Affine:
        kernel = weight.detach().to(x.dtype)
        constant = torch.zeros(1, len(kernel), dtype=x.dtype, device=x.device)
        return Affine(
            lambda parts: F.linear(parts, kernel),
            constant if bias is None else constant + bias.detach().to(x.dtype),
        )

    return freeze


def scaled(factors: Tensor) -> Freeze:
    """Make a step that multiplies each channel by a factor ``[w]``."""

    def freeze(x: Tensor) -> Affine:
        scale = factors.detach().to(x.dtype)
        return Affine(lambda parts: parts * scale, torch.zeros_like(x[:1]))

    return freeze


def affine(function: Callable[[Tensor], Tensor], dtype: torch.dtype, what: str) -> Freeze:
    """Make a step from a function, which must be affine.

    Args:
        function: ``[..., w]`` to ``[..., w']``, in the precision ``dtype``.
        dtype: precision of its weights.
        what: name of the function in errors.

    Raises:
        UnsupportedModelError: it is not affine.
    """

    def freeze(x: Tensor) -> Affine:
        bias = function(torch.zeros_like(x[:1]).to(dtype)).to(x.dtype)

        def linear(parts: Tensor) -> Tensor:
            return function(parts.to(dtype)).to(x.dtype) - bias

        once, twice, minus = (linear(factor * x) for factor in (1, 2, -1))
        most = max(NONLINEAR, 10 * torch.finfo(dtype).eps) * once.norm()
        if not ((twice - 2 * once).norm() <= 2 * most and (minus + once).norm() <= most):
            raise UnsupportedModelError(
                f"readout paths need maps that can be frozen; {what} is neither affine nor a "
                "supported norm, activation or MLP; use contribution"
            )
        return Affine(linear, bias)

    return freeze


def _module(module: Any, x: Tensor) -> Affine:
    """Freeze one module of a library at its input ``[b, w]``."""
    parameters = [name for name, _ in module.named_parameters()]
    if isinstance(module, nn.Sequential):
        frozen = chain(x, *module)
    elif isinstance(module, nn.Identity | nn.Dropout) or type(module).__name__ == "DropPath":
        frozen = identity(x)
    elif isinstance(module, nn.LayerNorm):
        frozen = _norm(module, x, x - x.mean(-1, keepdim=True))
    elif type(module).__name__.lower().endswith("rmsnorm"):
        frozen = _norm(module, x, x)
    elif hasattr(module, "fc2"):
        frozen = _mlp(module, x)
    # Exact types only: the weight of a quantised or adapted subclass is not its matrix.
    elif type(module) in (nn.Linear, nn.modules.linear.NonDynamicallyQuantizableLinear):
        frozen = matrix(module.weight, module.bias)(x)
    elif parameters in (["gamma"], ["lambda1"]):
        frozen = scaled(getattr(module, parameters[0]))(x)
    elif not parameters and _is_elementwise(module, x):
        frozen = secant(module, x)
    else:
        kinds = (
            parameter.dtype for parameter in module.parameters() if parameter.is_floating_point()
        )
        frozen = affine(module, next(kinds, x.dtype), type(module).__name__)(x)
    return frozen


def _norm(norm: Any, x: Tensor, centred: Tensor) -> Affine:
    """Freeze ``weight ⊙ (u − mean u) / σ + bias`` at the σ of x; RMSNorm subtracts no mean."""
    deviation = (centred.square().mean(-1, keepdim=True) + _eps(norm, x)).sqrt()
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    scale = 1 / deviation if weight is None else weight.detach().to(x.dtype) / deviation
    centres = centred is not x

    def linear(parts: Tensor) -> Tensor:
        if centres:
            parts = parts - parts.mean(-1, keepdim=True)
        return parts * scale[:, None]

    zero = torch.zeros_like(x[:1])
    return Affine(linear, zero if bias is None else zero + bias.detach().to(x.dtype))


def _eps(norm: Any, x: Tensor) -> float:
    eps = getattr(norm, "eps", getattr(norm, "variance_epsilon", None))
    return float(torch.finfo(x.dtype).eps if eps is None else eps)


def _mlp(mlp: Any, x: Tensor) -> Affine:
    """Freeze ``fc1``, activation, norm and ``fc2``; a multiplicative gate is kept constant."""
    act = getattr(mlp, "act", None) or mlp.activation_fn
    if hasattr(mlp, "fc1_g"):
        gate = act(chain(x, mlp.fc1_g)(x))
        entered = chain(x, mlp.fc1_x)
    elif type(mlp).__name__ == "GluMlp":
        both = chain(x, mlp.fc1)
        width = both(x).shape[-1] // 2
        value = slice(0, width) if mlp.gate_last else slice(width, None)
        other = slice(width, None) if mlp.gate_last else slice(0, width)
        gate = act(both(x)[:, other])
        entered = Affine(lambda p: both.linear(p)[..., value], both.constant[:, value])
    else:
        return chain(x, mlp.fc1, act, getattr(mlp, "norm", None), mlp.fc2)
    gated = Affine(lambda p: entered.linear(p) * gate[:, None], entered.constant * gate)
    return chain(x, lambda _: gated, getattr(mlp, "norm", None), mlp.fc2)


def secant(act: Callable[[Tensor], Tensor], z: Tensor) -> Affine:
    """Freeze an activation f at ``z`` ``[b, w]``: multiply by f(z)/z, or at 0 by its limit f'(0).

    Raises:
        UnsupportedModelError: f(0) is not 0, so the quotient has no limit.
    """
    with torch.enable_grad():
        zero = torch.zeros(1, dtype=z.dtype, device=z.device, requires_grad=True)
        at_zero = act(zero.clone())
        [slope] = torch.autograd.grad(at_zero, zero)
    at_zero = at_zero.detach()
    if float(at_zero.abs()) > 0:
        raise UnsupportedModelError(
            f"readout paths need an activation that is 0 at 0, but {type(act).__name__} gives "
            f"{float(at_zero):.3g} there; use contribution"
        )
    # Some activations work in place.
    value = act(z.clone())
    small = z.abs() < NEAR_ZERO
    factor = torch.where(small, slope, value / torch.where(small, 1.0, z))
    return Affine(lambda parts: parts * factor[:, None], torch.zeros_like(factor[:1]))


def _is_elementwise(module: Callable[[Tensor], Tensor], x: Tensor) -> bool:
    """Whether each value of the output depends only on the input value at its index."""
    outputs, first = module(x.clone()), module(x[:, :1].clone())
    # A single value may use another kernel, which rounds small results differently.
    slack = 1e-4 * float(outputs.abs().max())
    return outputs.shape == x.shape and torch.allclose(outputs[:, :1], first, rtol=1e-3, atol=slack)
