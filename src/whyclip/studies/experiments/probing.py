"""Effect of the choice of λ, heads and layers on Grad-ECLIP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import Method, Relevance, get_method
from whyclip.models.tower import join_heads
from whyclip.report import Column, Picture, Table
from whyclip.report.plots import interval_plot
from whyclip.studies.claims import Finding, is_above
from whyclip.studies.evaluation import Evaluation
from whyclip.studies.experiments.experiment import (
    Defaults,
    Experiment,
    ExperimentInput,
    ExperimentResult,
)
from whyclip.studies.experiments.layers import FAITHFUL, LOCATED
from whyclip.studies.experiments.localisation import able, extra_facts
from whyclip.studies.experiments.measured import (
    Quantity,
    column,
    gain,
    measure,
    right_less_wrong,
    value_of,
)
from whyclip.variant import Variant

Likeness = Literal["keys", "queries"]
Heads = Literal["native", "single"]

# λ by name: an option of the method, or a similarity that only this experiment defines.
SPATIAL: Mapping[str, str] = {"q·k": "loosened", "attention": "softmax", "uniform": "none"}
LIKENESS: Mapping[str, Likeness] = {"k·k": "keys", "q·q": "queries"}
USUAL = "λ q·k, native heads"


def by_likeness(
    forward_pass: ForwardPass, *, likeness: Likeness = "keys", heads: Heads = "native"
) -> Relevance:
    """Weight tokens by the similarity of their keys, or queries, to those of the CLS token.

    ``H_i = ReLU(λ_i Σ_c g_c v_ic)`` as in Grad-ECLIP, with λ the cosine over the full width of
    ``k`` and ``k_i``, or of ``q`` and ``q_i``, min–max normalised over the patches.

    Args:
        forward_pass: the encoder's forward pass.
        likeness: compared vectors; an attention pooling head has no key, and only one query.
        heads: as for Grad-ECLIP.
    """
    tower = forward_pass.tower
    readout = forward_pass.readout(1, heads)
    [g] = forward_pass.gradient(readout, "o")
    block = tower.blocks[-1]
    with torch.no_grad():
        q, k, _ = block.qkv(forward_pass.states[len(tower.blocks) - 1].to(block.dtype))
    weights = stretched(
        join_heads(k if likeness == "keys" else q),
        forward_pass.stream.readout_index,
        forward_pass.content_mask,
    )
    v = readout.layers[0].v.transpose(1, 2).flatten(2).float()
    values = weights[:, None] * torch.einsum("bnc,btc->bnt", g, v)
    return Relevance(values.relu(), readout.embedding, readout.changes)


def stretched(tokens: Tensor, row: Tensor, over: Tensor) -> Tensor:
    """Min–max-normalised cosine of each token ``[b, t, w]`` with the CLS token: ``[b, t]``.

    Minimum and maximum are over the tokens in ``over`` ``[b, t]``; the result is 1 if all cosines
    are equal.
    """
    readout = tokens[torch.arange(len(tokens), device=tokens.device), row][:, None]
    likeness = F.cosine_similarity(readout.float(), tokens.float(), dim=-1)
    low = likeness.masked_fill(~over, float("inf")).amin(-1, keepdim=True)
    high = likeness.masked_fill(~over, float("-inf")).amax(-1, keepdim=True)
    spread = (high - low).clamp(min=0)
    return torch.where(spread > 0, (likeness - low) / spread.where(spread > 0, 1.0), 1.0)


BY_LIKENESS = Method(
    name="by_likeness",
    title="Grad-ECLIP with λ from one kind of vector",
    source="a variant of Zhao et al., ICML 2024, arXiv 2502.18816",
    relevance=by_likeness,
    text_specific=True,
    signed=False,
    cost="1 + n readout gradients",
    explains='the model itself; heads="single": a changed model',
    sides=("image",),
)


def variants_of(setting: ExperimentInput) -> list[tuple[Variant, dict[str, Any]]]:
    """Every variant with its λ, heads and layers."""
    tower = setting.model.image
    variants: list[tuple[Variant, dict[str, Any]]] = []

    def add(weights: str, heads: str, layers: int) -> None:
        made = {"weights": weights, "heads": heads, "layers": layers}
        name = f"λ {weights}, {heads} heads" + (f", {layers} layers" if layers > 1 else "")
        if weights in LIKENESS:
            options: dict[str, Any] = {"likeness": LIKENESS[weights], "heads": heads}
            variants.append((Variant(BY_LIKENESS, options, name), made))
        else:
            options = {"spatial": SPATIAL[weights], "heads": heads, "layers": layers}
            variants.append((Variant(get_method("grad_eclip"), options, name), made))

    for heads in ("native", "single"):
        for weights in (*SPATIAL, *(() if tower.has_pooling_head else LIKENESS)):
            add(weights, heads, 1)
    for layers in sorted({2, len(tower.blocks)} - {0, 1}):
        add("q·k", "native", layers)
        add("uniform", "native", layers)
    kept = {variant.label for variant in able(setting, [variant for variant, _ in variants])}
    return [(variant, made) for variant, made in variants if variant.label in kept]


def probing(setting: ExperimentInput) -> ExperimentResult:
    """Evaluate Grad-ECLIP with each choice of λ, heads and layers."""
    made = variants_of(setting)
    masked = setting.dataset.has_masks()
    columns = {**FAITHFUL, **(LOCATED if masked else {})}
    evaluation = measure(
        setting, [v for v, _ in made], [quantity[0] for _, quantity in columns.values()]
    )
    parts = {variant.label: part for variant, part in made}
    one = Table(
        "λ, heads and layers",
        (
            *(Column(name, title) for name, title in _MADE.items()),
            *(column(key, quantity, title) for key, (title, quantity) in columns.items()),
            *([Column("consistent", "consistency", better="higher", help=_HELP)] * masked),
        ),
        tuple(_row(evaluation, name, parts.get(name), columns) for name in evaluation.methods),
        "Score: the cosine with the explained prompt, mean of the 11 points of the protocol. The "
        "attention's own weights with native heads are the mean over heads.",
    )
    against = Table(
        f"Each choice less the usual one ({USUAL})",
        (
            *(Column(name, title) for name, title in _MADE.items()),
            *(Column(key, f"gain, {title.lower()}") for key, (title, _) in columns.items()),
        ),
        tuple(
            {
                **_named(name, parts.get(name)),
                **{
                    key: gain(evaluation, name, USUAL, quantity)
                    for key, (_, quantity) in columns.items()
                },
            }
            for name in evaluation.methods
            if name != USUAL
        ),
        "Paired over the same prompts; the sign is chosen so that above 0 is better.",
    )
    picture = Picture(
        interval_plot(
            {
                title: {"": {n: value_of(evaluation, n, quantity) for n in evaluation.methods}}
                for title, quantity in columns.values()
            }
        ),
        "Each choice of λ, heads and layers by every metric",
        "Dots are means, lines 95 % intervals. Deletion is better to the left, the rest to the "
        "right.",
    )
    return ExperimentResult(
        verdicts(evaluation, columns), [one, picture, against], extra_facts(evaluation)
    )


_MADE = {"weights": "λ from", "heads": "heads", "layers": "layers"}
_HELP = "energy in the mask where the model is right minus energy where it is wrong."


def _named(name: str, part: Mapping[str, Any] | None) -> dict[str, Any]:
    return dict(part) if part else {"weights": name}


def _row(
    evaluation: Evaluation,
    name: str,
    part: Mapping[str, Any] | None,
    columns: Mapping[str, tuple[str, Quantity]],
) -> dict[str, Any]:
    row = _named(name, part)
    for key, (_, quantity) in columns.items():
        row[key] = value_of(evaluation, name, quantity)
    if "energy" in columns:
        row["consistent"] = right_less_wrong(evaluation, name, columns["energy"][1])
    return row


def verdicts(evaluation: Evaluation, columns: Mapping[str, tuple[str, Quantity]]) -> list[Finding]:
    """Judge the published choice of λ against uniform weights and attention weights."""
    claims = {
        "λ q·k, native heads": ("uniform", "attention"),
        "λ q·k, single heads": ("uniform", "attention"),
    }
    findings = []
    for name, rivals in claims.items():
        heads = name.partition(", ")[2]
        for rival in (f"λ {weights}, {heads}" for weights in rivals):
            if {name, rival} <= set(evaluation.methods):
                findings += [
                    is_above(
                        f"{name}, is better than {rival}, by {title.lower()}",
                        "gain",
                        gain(evaluation, name, rival, quantity),
                        0,
                    )
                    for key, (title, quantity) in columns.items()
                    if key in {"insertion", "energy"}
                ]
    return findings


EXPERIMENT = Experiment(
    name="probing",
    title="The choice of spatial weights, heads and layers",
    claim=(
        "Weighting patches by the min–max-normalised similarity of query and key (λ) gives better "
        "maps than the softmax attention weights or uniform weights. One layer and one head over "
        "the whole width are enough."
    ),
    source="Zhao et al., ICML 2024, arXiv 2502.18816, ablations",
    run=probing,
    defaults=Defaults(limit=20),
    cost="19 s",
    on_real_data=(
        "whyclip reproduce probing --data imagenet-s:FOLDER --model openclip:ViT-B-16/openai "
        "--limit 500"
    ),
)
