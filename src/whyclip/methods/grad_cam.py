"""Grad-CAM: channels of the last block's input, weighted by the score's mean gradient."""

from __future__ import annotations

import torch

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance
from whyclip.methods.readout import mask_of_readout, read_out

# Backward passes that share their matrix products, targets times images; each needs the memory
# of one image's queries, keys and values.
BACKWARDS_AT_ONCE = 64


def grad_cam(forward_pass: ForwardPass, *, relu: bool = True) -> Relevance:
    """Weigh the channels of each token by the score's gradient, averaged over all tokens.

    ``H_i = ReLU(Σ_c w_c F_ic)`` with F the tokens that enter the last block and
    ``w_c = (1/T) Σ_t ∂S/∂F_tc`` over all T of them, CLS included. Selvaraju et al., ICCV 2017
    (arXiv 1610.02391), eqs. 1 and 2, adapted to transformers as in the comparison of Zhao et
    al., ICML 2024. The sum of the gradients over tokens is the gradient at one vector that is
    added to all of them, so no gradient is kept for each token.

    Args:
        forward_pass: the tower's forward pass.
        relu: keep only what speaks for the match.
    """
    tower, stream = forward_pass.tower, forward_pass.stream
    x = forward_pass.states[len(tower.blocks) - 1].to(tower.blocks[-1].dtype).detach()
    b, t, width = x.shape
    with torch.enable_grad():
        probe = torch.zeros(b, 1, width, dtype=x.dtype, device=x.device, requires_grad=True)
        output = read_out(tower, x + probe, stream.readout_index, mask_of_readout(stream))
    embedding = output.detach().float()
    values = torch.empty(b, len(forward_pass.targets), t, device=x.device)
    at_once = max(BACKWARDS_AT_ONCE // b, 1)
    for start in range(0, len(forward_pass.targets), at_once):
        part = slice(start, start + at_once)
        upstream = forward_pass.targets[part].gradient(embedding).to(output.dtype)
        [summed] = torch.autograd.grad(
            output, probe, upstream, retain_graph=True, is_grads_batched=True
        )
        mean = summed[:, :, 0].float() / t
        values[:, part] = torch.einsum("nbw,btw->bnt", mean, x.float())
    return Relevance(values.relu() if relu else values, embedding)


METHOD = Method(
    name="grad_cam",
    title="Grad-CAM",
    source="Selvaraju et al., ICCV 2017, arXiv 1610.02391",
    relevance=grad_cam,
    text_specific=True,
    by_image=True,
    signed=False,
    cost="1 + n gradients of the last block",
    scope="score",
    explains="the model itself",
    sides=("image",),
)
