"""M2IB: information about each token that must pass a noisy bottleneck to keep the score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.errors import OptionError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods.method import Method, Relevance
from whyclip.methods.readout import mask_of_readout, read_out
from whyclip.models.tower import Stream, Tower
from whyclip.progress import track

DEFAULT_LAYER = 9
# sigmoid(5) = 0.993: the search starts with nearly no noise.
INITIAL_ALPHA = 5.0

# Number of noisy copies in one pass through the last blocks, with gradients.
COPIES_AT_ONCE = 20


def m2ib(
    forward_pass: ForwardPass,
    *,
    layer: int | None = None,
    beta: float = 0.1,
    variance: float = 1.0,
    steps: int = 10,
    lr: float = 1.0,
    samples: int = 10,
    seed: int = 0,
) -> Relevance:
    """Find the minimum information about each token that keeps the score, in nats.

    After one layer, every channel of every token x becomes ``z = λx + (1−λ)ε`` with
    ``ε ~ N(0, variance)``; ``λ = sigmoid(α)`` minimises ``β·mean KL(z ‖ N(0,1)) − S(z)`` by
    Adam, separately for each input and target. ``H_i = Σ_c KL_ic`` in the forward pass of the last
    step. Wang et al., NeurIPS 2023 (arXiv 2312.17174), eqs. 5 to 8 and the released
    settings. The model's own causal mask, EOS position and projection are each used once. The mean
    is over the tokens that the readout token can attend to. The noise is the same for every input
    and target.

    Args:
        forward_pass: the encoder's forward pass.
        layer: the layer after which noise is added, counted from 0; 9, or the last but one block if
            the encoder has fewer blocks.
        beta: weight of the information term.
        variance: variance of the noise.
        steps: number of steps of Adam.
        lr: learning rate of Adam.
        samples: number of noisy copies per step.
        seed: random seed of the noise.

    Raises:
        OptionError: no block follows this layer, or a number is not positive.
    """
    for name, number in {
        "variance": variance,
        "steps": steps,
        "lr": lr,
        "samples": samples,
    }.items():
        if not number > 0:
            raise OptionError(f"{name}={number!r} of m2ib must be above 0")
    n = len(forward_pass.targets)
    b, t = forward_pass.content_mask.shape
    search = _Search(
        forward_pass, _first_noisy(forward_pass.tower, layer), beta, variance**0.5, steps, lr
    )
    values = torch.empty(b * n, t, device=forward_pass.content_mask.device)
    lost = torch.empty(b * n, device=forward_pass.content_mask.device)
    model_scores = forward_pass.targets.score(forward_pass.embedding).flatten()
    pairs = torch.arange(b * n, device=values.device).split(max(COPIES_AT_ONCE // samples, 1))
    for pair in track(pairs, "searching bottlenecks"):
        kl, score = search.run(pair // n, pair % n, samples, seed)
        values[pair] = kl.float()
        lost[pair] = model_scores[pair] - score.float()
    checks = {"score lost to the noise": lost.unflatten(0, (b, n))}
    return Relevance(values.unflatten(0, (b, n)), search.end(), diagnostics=checks)


@dataclass(frozen=True)
class _Search:
    """One bottleneck for each pair of an input and a target."""

    forward_pass: ForwardPass
    first: int
    beta: float
    deviation: float
    steps: int
    lr: float

    def run(
        self, inputs: Tensor, targets: Tensor, samples: int, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Return the KL of each token ``[p, t]``, and the mean score under noise ``[p]``."""
        stream = self.forward_pass.stream
        x = self.forward_pass.states[self.first][inputs].detach()
        x = x.to(torch.promote_types(x.dtype, torch.float32))
        price = self.beta * _share_of_seen(stream, x)[inputs]
        noise = torch.Generator().manual_seed(seed)
        alpha = torch.full_like(x, INITIAL_ALPHA, requires_grad=True)
        adam = torch.optim.Adam([alpha], lr=self.lr)
        kl, score = x, x
        for _ in range(self.steps):
            with torch.enable_grad():
                mean, deviation = x * alpha.sigmoid(), self.deviation * (-alpha).sigmoid()
                # log σ(−α) directly, because 1 − σ(α) is zero in float32 for large α.
                log_variance = 2 * (F.logsigmoid(-alpha) + torch.tensor(self.deviation).log())
                kl = 0.5 * (mean**2 + deviation**2 - 1 - log_variance)
                z = mean + deviation * self._noise(noise, samples, x)
                embedding = self._finish(z, inputs, samples)
                score = self.forward_pass.targets.paired(embedding, targets).mean(0)
                loss = (price[..., None] * kl).sum() - score.sum()
            [alpha.grad] = torch.autograd.grad(loss, alpha)
            adam.step()
        return kl.detach().sum(-1), score.detach()

    @torch.no_grad()
    def end(self) -> Tensor:
        """Embedding ``[b, e]`` without noise."""
        x = self.forward_pass.states[self.first]
        every = torch.arange(len(x), device=x.device)
        return self._finish(x.float()[None], every, 1)[0]

    def _noise(self, generator: torch.Generator, samples: int, x: Tensor) -> Tensor:
        """``[samples, 1, t, w]``; drawn for a text's full context."""
        length = 0 if self.forward_pass.side == "image" else self.forward_pass.inputs.shape[1]
        length = max(length, x.shape[1])
        drawn = torch.randn(samples, length, x.shape[2], generator=generator)
        return drawn[:, None, : x.shape[1]].to(x)

    def _finish(self, z: Tensor, inputs: Tensor, samples: int) -> Tensor:
        """Run noisy tokens ``[samples, p, t, w]`` to their embeddings ``[samples, p, e]``."""
        stream, tower = self.forward_pass.stream, self.forward_pass.tower
        mask, at_readout = stream.mask, mask_of_readout(stream)
        if mask is not None and len(mask) > 1:
            mask = mask[inputs].repeat(samples, 1, 1, 1)
        if at_readout is not None:
            at_readout = at_readout[inputs].repeat(samples, 1, 1)
        x = z.flatten(0, 1)
        for block in tower.blocks[self.first : -1]:
            x = block.forward(x.to(block.dtype), mask)
        x = x.to(tower.blocks[-1].dtype)
        embedding = read_out(tower, x, stream.readout_index[inputs].repeat(samples), at_readout)
        return embedding.to(z.dtype).unflatten(0, (samples, -1))


def _share_of_seen(stream: Stream, x: Tensor) -> Tensor:
    """``[b, t]``: one over their number of values for tokens the readout token can attend to."""
    visible = torch.ones_like(stream.content_mask)
    mask = mask_of_readout(stream)
    if mask is not None:
        # Masks contain minus infinity, or the smallest finite number.
        visible = (mask > torch.finfo(mask.dtype).min / 2).any(1)
    return visible / (visible.sum(1, keepdim=True) * x.shape[-1])


def _first_noisy(tower: Tower, layer: int | None) -> int:
    """Return the block whose input gets the noise: the one after ``layer``."""
    last = len(tower.blocks) - 1
    if layer is None:
        return min(DEFAULT_LAYER + 1, last)
    if not 0 <= layer < last:
        raise OptionError(
            f"layer={layer!r}: a block must follow the bottleneck, and the {tower.side} "
            f"encoder has blocks 0 to {last}"
        )
    return layer + 1


METHOD = Method(
    name="m2ib",
    title="M2IB",
    source="Wang et al., NeurIPS 2023, arXiv 2312.17174",
    relevance=m2ib,
    text_specific=True,
    signed=False,
    cost="1 + 100 n forward and backward passes of the blocks after the bottleneck",
    scope="score",
    explains="the model itself, with noise in its tokens",
    slow=True,
    blocks_needed=lambda tower, options: len(tower.blocks) - _first_noisy(tower, options["layer"]),
)
