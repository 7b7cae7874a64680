"""What must be true of every case: of an error, of a result, and of two results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from whyclip import Explanation
from whyclip.interactions import Interaction
from whyclip.methods import METHODS

LONGEST = 200
# A warning quotes a prompt and what of it the model did not see.
LONGEST_WARNING = 320


def of_message(message: str, longest: int = LONGEST) -> Iterator[str]:
    if not message.strip():
        yield "an error without words"
    if not message.isprintable():
        yield f"a message of several lines, or with control characters: {message!r:.200}"
    if len(message) > longest:
        yield f"a message of {len(message)} characters: {message!r:.700}"


def of_result(found: Any, asked: Any) -> Iterator[str]:
    """What is wrong with what a call returned; ``asked`` are the prompts."""
    if isinstance(found, Interaction):
        yield from _of_interaction(found)
        return
    results = [one for part in found.values() for one in part] if isinstance(found, dict) else found
    for one in results if isinstance(results, list) else [results]:
        yield from _of_explanation(one, asked)


def _of_explanation(found: Explanation, asked: Any) -> Iterator[str]:
    count = 1 if isinstance(asked, str) else len(asked)
    if len(found) != count or len(found.words) != count:
        yield f"{count} prompts, but {len(found)} results and words of {len(found.words)}"
    plain = isinstance(asked, list) and all(isinstance(prompt, str) for prompt in asked)
    if plain and list(found.prompts) != asked:
        yield f"prompts {asked!r:.80} became {found.prompts!r:.80}"
    yield from _of_tensor("scores", found.scores, (count,))
    bound = 2.0 if found.against else 1.0
    if found.scores.numel() and found.scores.abs().max() > bound + 1e-4:
        yield f"score {found.scores.abs().max():.4f} of at most {bound}"
    if found.maps is not None:
        yield from _of_tensor("maps", found.maps, (count, *found.maps.shape[1:3]))
        if found.maps.ndim != 3 or not found.maps.numel():
            yield f"maps of shape {tuple(found.maps.shape)}"
        signed = METHODS[found.method_of["image"]].signed or "relu" in found.options
        if not signed and found.maps.min() < 0:
            yield f"{found.method} is never negative, but gave {found.maps.min():.2e}"
    for prompt, words in zip(found.prompts, found.words, strict=False):
        yield from _of_words(prompt, words)
    box = found.geometry.box
    if not (box.left < box.right and box.top < box.bottom):
        yield f"geometry of no size: {found.geometry}"
    yield from _of_certificate(found)


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


def _of_certificate(found: Explanation) -> Iterator[str]:
    held = found.certificate
    sides = set(found.method_of)
    if len(held.score_model) != len(found) or any(
        len(s) != len(found) for s in held.scores.values()
    ):
        yield f"certificate for another number of prompts than {len(found)}"
    if set(held.scope) != sides or ("image" in sides) != (found.maps is not None):
        yield f"sides {sides}, scopes {dict(held.scope)}, maps {found.maps is not None}"
    declared = {side: METHODS[name].scope for side, name in found.method_of.items()}
    green = set(declared.values()) == {"score"} and not held.changes and held.gap <= held.tolerance
    if held.explains_score and not green:
        yield f"green with scopes {declared}, changes {held.changes}, gap {held.gap:.1e}"
    if held.score_check == "failed" and not held.changes and set(declared.values()) == {"score"}:
        yield f"the score check failed without a change: {held.score_statement}"
    if held.score_check != "not run" and held.gap != held.gap:
        yield "the gap is NaN"
    if not str(held).isprintable():
        yield f"a certificate of several lines: {str(held)!r:.200}"


def _of_interaction(found: Interaction) -> Iterator[str]:
    yield from _of_tensor("matrix", found.matrix, (len(found.words), *found.matrix.shape[1:3]))
    yield from _of_words(found.prompt, found.words)
    if not abs(found.total) < float("inf"):
        yield f"total {found.total}"
    yield from _of_tensor("table", found.table, (len(found.rows), len(found.columns)))
    if not abs(float(found.table.double().sum()) - found.score) <= found.certificate.tolerance:
        yield f"the table sums to {float(found.table.sum())}, the score is {found.score}"


def _of_tensor(name: str, tensor: Any, shape: tuple[int, ...]) -> Iterator[str]:
    if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
        yield f"{name}: {tensor.dtype} of shape {tuple(tensor.shape)}, not float32 of {shape}"
    if tensor.device.type != "cpu" or tensor.requires_grad:
        yield f"{name} on {tensor.device}, requires_grad={tensor.requires_grad}"
    elif not tensor.isfinite().all():
        yield f"{name} are not finite"


def of_two(what: str, one: Any, other: Any, *, exactly: bool) -> Iterator[str]:
    """In what two results differ that should not."""
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
    """Largest difference of any number, in units of the largest number of its kind."""
    largest = 0.0
    for a, b in zip(_numbers(one), _numbers(other), strict=True):
        if a.shape != b.shape:
            return float("inf")
        if a.numel():
            scale = max(float(a.abs().max()), 1e-4)
            largest = max(largest, float((a - b).abs().max()) / scale)
    return largest


def _numbers(found: Any) -> list[torch.Tensor]:
    if isinstance(found, (list, tuple)):
        return [tensor for one in found for tensor in _numbers(one)]
    if isinstance(found, dict):
        return [tensor for one in found.values() for tensor in _numbers(one)]
    words = [w.relevance for words in found.words for w in words] if _is(found) else []
    if not _is(found):
        return [found.matrix]
    maps = [] if found.maps is None else [found.maps]
    return [found.scores, *maps, torch.tensor(words, dtype=torch.float32, device="cpu")]


def _is(found: Any) -> bool:
    return isinstance(found, Explanation)
