"""Checks of every case: of an error, of a result, and of two results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from whyclip import Explanation
from whyclip.interactions import Interaction
from whyclip.methods import METHODS

LONGEST = 200
# A warning quotes a prompt and the truncated part of it.
LONGEST_WARNING = 320


def of_message(message: str, longest: int = LONGEST) -> Iterator[str]:
    if not message.strip():
        yield "an error without words"
    if not message.isprintable():
        yield f"a message of several lines, or with control characters: {message!r:.200}"
    if len(message) > longest:
        yield f"a message of {len(message)} characters: {message!r:.700}"


def of_result(result: Any, prompts: Any) -> Iterator[str]:
    """List the faults in the result of a call for these prompts."""
    if isinstance(result, Interaction):
        yield from _of_interaction(result)
        return
    results = (
        [one for part in result.values() for one in part] if isinstance(result, dict) else result
    )
    for one in results if isinstance(results, list) else [results]:
        yield from _of_explanation(one, prompts)


def _of_explanation(explanation: Explanation, prompts: Any) -> Iterator[str]:
    count = 1 if isinstance(prompts, str) else len(prompts)
    if len(explanation) != count or len(explanation.words) != count:
        lengths = f"{len(explanation)} results and words of {len(explanation.words)}"
        yield f"{count} prompts, but {lengths}"
    plain = isinstance(prompts, list) and all(isinstance(prompt, str) for prompt in prompts)
    if plain and list(explanation.prompts) != prompts:
        yield f"prompts {prompts!r:.80} became {explanation.prompts!r:.80}"
    yield from _of_tensor("scores", explanation.scores, (count,))
    bound = 2.0 if explanation.against else 1.0
    if explanation.scores.numel() and explanation.scores.abs().max() > bound + 1e-4:
        yield f"score {explanation.scores.abs().max():.4f} of at most {bound}"
    if explanation.maps is not None:
        yield from _of_tensor("maps", explanation.maps, (count, *explanation.maps.shape[1:3]))
        if explanation.maps.ndim != 3 or not explanation.maps.numel():
            yield f"maps of shape {tuple(explanation.maps.shape)}"
        signed = METHODS[explanation.method_of["image"]].signed or "relu" in explanation.options
        if not signed and explanation.maps.min() < 0:
            yield f"{explanation.method} is never negative, but gave {explanation.maps.min():.2e}"
    for prompt, words in zip(explanation.prompts, explanation.words, strict=False):
        yield from _of_words(prompt, words)
    box = explanation.geometry.box
    if not (box.left < box.right and box.top < box.bottom):
        yield f"geometry of no size: {explanation.geometry}"
    yield from _of_certificate(explanation)


def _of_words(prompt: Any, words: Any) -> Iterator[str]:
    last = (0, 0)
    for word in words:
        text = prompt if isinstance(prompt, str) else prompt[word.template]
        if text[word.start : word.end] != word.text:
            yield f"word {word.text!r} stands for {text[word.start : word.end]!r} of {text!r:.80}"
        if (word.template, word.start) < last:
            yield f"words out of order in {text!r:.80}"
        last = (word.template, word.end)
        if not abs(word.relevance) < float("inf"):
            yield f"word {word.text!r} has relevance {word.relevance}"


def _of_certificate(explanation: Explanation) -> Iterator[str]:
    held = explanation.certificate
    sides = set(explanation.method_of)
    if len(held.score_model) != len(explanation) or any(
        len(s) != len(explanation) for s in held.scores.values()
    ):
        yield f"certificate for another number of prompts than {len(explanation)}"
    if set(held.scope) != sides or ("image" in sides) != (explanation.maps is not None):
        yield f"sides {sides}, scopes {dict(held.scope)}, maps {explanation.maps is not None}"
    declared = {side: METHODS[name].scope for side, name in explanation.method_of.items()}
    green = set(declared.values()) == {"score"} and not held.changes and held.gap <= held.tolerance
    if held.explains_score and not green:
        yield f"green with scopes {declared}, changes {held.changes}, gap {held.gap:.1e}"
    if held.score_check == "failed" and not held.changes and set(declared.values()) == {"score"}:
        yield f"the score check failed without a change: {held.score_statement}"
    if held.score_check != "not run" and held.gap != held.gap:
        yield "the gap is NaN"
    if not str(held).isprintable():
        yield f"a certificate of several lines: {str(held)!r:.200}"


def _of_interaction(interaction: Interaction) -> Iterator[str]:
    yield from _of_tensor(
        "matrix", interaction.matrix, (len(interaction.words), *interaction.matrix.shape[1:3])
    )
    yield from _of_words(interaction.prompt, interaction.words)
    if not abs(interaction.total) < float("inf"):
        yield f"total {interaction.total}"
    yield from _of_tensor(
        "table", interaction.table, (len(interaction.rows), len(interaction.columns))
    )
    gap = abs(float(interaction.table.double().sum()) - interaction.score)
    if not gap <= interaction.certificate.tolerance:
        total = float(interaction.table.sum())
        yield f"the table sums to {total}, the score is {interaction.score}"


def _of_tensor(name: str, tensor: Any, shape: tuple[int, ...]) -> Iterator[str]:
    if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
        yield f"{name}: {tensor.dtype} of shape {tuple(tensor.shape)}, not float32 of {shape}"
    if tensor.device.type != "cpu" or tensor.requires_grad:
        yield f"{name} on {tensor.device}, requires_grad={tensor.requires_grad}"
    elif not tensor.isfinite().all():
        yield f"{name} are not finite"


def of_two(what: str, one: Any, other: Any, *, exactly: bool) -> Iterator[str]:
    """List unexpected differences between two results."""
    if isinstance(one, Exception) or isinstance(other, Exception):
        if (type(one), str(one)) != (type(other), str(other)):
            yield f"{what}: {one!r:.160} and {other!r:.160}"
        return
    if exactly:
        if one != other:
            yield f"{what}: results differ by {_distance(one, other):.1e}"
    elif (distance := _distance(one, other)) > 2e-3:
        yield f"{what}: results differ by {distance:.1e} of the largest relevance"


def _distance(one: Any, other: Any) -> float:
    """Compute the largest difference of any number, relative to the largest number of its kind."""
    largest = 0.0
    for a, b in zip(_numbers(one), _numbers(other), strict=True):
        if a.shape != b.shape:
            return float("inf")
        if a.numel():
            scale = max(float(a.abs().max()), 1e-4)
            largest = max(largest, float((a - b).abs().max()) / scale)
    return largest


def _numbers(result: Any) -> list[torch.Tensor]:
    if isinstance(result, (list, tuple)):
        return [tensor for one in result for tensor in _numbers(one)]
    if isinstance(result, dict):
        return [tensor for one in result.values() for tensor in _numbers(one)]
    words = [w.relevance for words in result.words for w in words] if _is(result) else []
    if not _is(result):
        return [result.matrix]
    maps = [] if result.maps is None else [result.maps]
    return [result.scores, *maps, torch.tensor(words, dtype=torch.float32, device="cpu")]


def _is(result: Any) -> bool:
    return isinstance(result, Explanation)
