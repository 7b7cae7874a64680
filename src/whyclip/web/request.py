"""Requests, parsed from JSON and checked before any work."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from whyclip.errors import InputError, OptionError, PromptError, check_choice, quoted
from whyclip.types import SIDES, GeometryName, Side
from whyclip.web.limits import Limits

DEFAULT = "default"
"""Represents the default method of each side."""


@dataclass(frozen=True)
class WebRequest:
    """A request for one image.

    Attributes:
        image: id of an uploaded image or an example.
        prompts: the prompts.
        against: contrast prompts.
        methods: one or two methods.
        sides: explained sides.
        geometry: input mode of the image.
    """

    image: str
    prompts: tuple[str, ...]
    against: tuple[str, ...] = ()
    methods: tuple[str, ...] = (DEFAULT,)
    sides: tuple[Side, ...] = SIDES
    geometry: GeometryName = "model"


def read_request(body: bytes, limits: Limits, methods: Sequence[str]) -> WebRequest:
    """Parse a request.

    Args:
        body: the request as JSON.
        limits: limits on numbers and lengths.
        methods: available methods.

    Raises:
        InputError: the body is not a JSON object, or one of its parts is invalid.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        raise InputError("the request is not a JSON object")
    image = given.get("image")
    if not isinstance(image, str) or not image:
        raise InputError("no image: give one first")
    names = _strings(given, "methods", limits.methods) or (DEFAULT,)
    for name in names:
        check_choice("method", name, (DEFAULT, *methods))
    if len(set(names)) < len(names):
        raise OptionError(f"method {quoted(names[0])} is chosen twice; choose two different ones")
    sides = _strings(given, "sides", len(SIDES)) or SIDES
    return WebRequest(
        image=image,
        prompts=_prompts(given, "prompts", limits.prompts, limits, least=1),
        against=_prompts(given, "against", limits.opponents, limits, least=0),
        methods=names,
        sides=tuple(dict.fromkeys(check_choice("side", side, SIDES) for side in sides)),
        geometry=check_choice("geometry", given.get("geometry", "model"), get_args(GeometryName)),
    )


def _prompts(
    given: Mapping[str, Any], key: str, most: int, limits: Limits, *, least: int
) -> tuple[str, ...]:
    prompts = tuple(prompt.strip() for prompt in _strings(given, key, most))
    if len(prompts) < least or not all(prompts):
        raise PromptError("no prompt: write at least one, such as “a dog”; one per line")
    for prompt in prompts:
        if len(prompt) > limits.characters:
            raise PromptError(
                f"prompt {quoted(prompt[:40])} has {len(prompt)} characters; the page takes "
                f"{limits.characters}"
            )
    return prompts


def _strings(given: Mapping[str, Any], key: str, most: int) -> tuple[str, ...]:
    values = given.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise InputError(f"{key} must be a list of strings")
    if len(values) > most:
        raise InputError(f"{len(values)} {key}; the page takes at most {most}")
    return tuple(values)
