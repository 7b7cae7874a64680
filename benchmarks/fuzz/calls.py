"""Cases in Python: one call of ``explain``, ``compare`` or ``interaction``."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import whyclip
from benchmarks.fuzz import checks, draw, pictures, states
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.models import view_of
from whyclip.errors import WhyclipError, WhyclipWarning, quoted

WORDS = (
    "readout",
    "direct",
    "first_order",
    "leave_one_out",
    "shapley:permutations=2",
    "integrated_gradients:steps=2",
)
REGIONS = ("readout", "direct", "first_order", "banzhaf:samples=4", "banzhaf:samples=3")
Kind = Literal["explain", "compare", "interaction", "file"]
# In a batch, their results are equal up to rounding, which many steps amplify.
UNSTABLE = ("m2ib",)


@dataclass
class Call:
    """Arguments of a call, and the state of torch during the call."""

    kind: Kind
    model: str
    images: Any
    prompts: Any
    given: dict[str, Any] = field(default_factory=dict)
    state: str = "plain"

    def __str__(self) -> str:
        given = ", ".join(f"{name}={quoted(value)}" for name, value in self.given.items())
        images = self.images if isinstance(self.images, list) else [self.images]
        shown = ", ".join(quoted(image) for image in images)
        return (
            f"{self.kind}({self.model}, {shown}, {quoted(self.prompts)}, {given}) "
            f"in state {self.state}"
        )

    def __call__(self, images: Any = None) -> Any:
        """Return the result, or the exception."""
        name = "explain" if self.kind == "file" else self.kind
        images = self.images if images is None else images
        function: Callable[..., Any] = getattr(whyclip, name)
        try:
            return function(view_of(self.model), images, self.prompts, **self.given)
        except Exception as error:  # noqa: BLE001 - the type of the exception is checked
            return error


def drawn(chance: Draw, kind: Kind, folder: Path) -> Call:
    """Draw a call, and write the file of its image, if it has one."""
    model = "mini" if chance.odds(0.01) else chance.choice(("openclip", "openclip", "hf"))
    state = chance.choice([*states.STATES, "threads"]) if chance.odds(0.3) else "plain"
    if kind == "file":
        method = chance.choice(("maskclip", "grad_eclip", "raw_attention"))
        given = {"method": method, "geometry": chance.choice(("model", "model", "keep", "pad"))}
        call = Call(kind, model, pictures.file(chance, folder), "a dog", given)
        call.given |= {"sides": ["image"]}
        return call
    common = {
        "geometry": draw.one_of(chance, ("model", "model", "keep", "pad"), 0.02),
        "precision": draw.one_of(chance, ("fp32", "fp32", "fp32", "bf16"), 0.02),
    }
    if kind == "interaction":
        prompt = draw.prompt(chance) if chance.odds(0.85) else draw.prompts(chance)
        if chance.odds(0.6):
            common["words"] = draw.one_of(chance, WORDS, 0.05)
            common["regions"] = draw.one_of(chance, REGIONS, 0.05)
        if chance.odds(0.15):
            common["against"] = draw.prompts(chance)
        if chance.odds(0.2):
            common["text_layers"] = chance.choice((1, 2, 3, 0, -1, "2", None, 1.5, True))
        return Call(kind, model, pictures.source(chance), prompt, common, state)
    common["check"] = draw.one_of(chance, ("auto", "auto", "all", "none"), 0.02)
    prompts = draw.prompts(chance)
    if chance.odds(0.15):
        common["against"] = draw.prompts(chance)
    several = [pictures.source(chance) for _ in range(chance.randint(1, 3))]
    if kind == "compare":
        names = chance.sample(list(draw.TINY | dict.fromkeys(draw.METHODS)), chance.randint(1, 3))
        methods: Any = {name: draw.options(chance, name) for name in names}
        methods = methods if chance.odds(0.9) else draw.method(chance)
        return Call(kind, model, several, prompts, {**common, "methods": methods}, state)
    method = draw.method(chance)
    common |= {"method": method, "sides": draw.sides(chance, method)}
    common |= draw.options(chance, method)
    images = several if chance.odds(0.3) else several[0]
    return Call(kind, model, images, prompts, common, state)


def run(call: Call, chance: Draw) -> tuple[str, list[str]]:
    """Make the call and check every property.

    Returns:
        ``"result"`` or the error's class, and the faults.
    """
    module = view_of(call.model).module
    assert module is not None
    model = states.of_model(module)
    state = states.STATES.get(call.state, nullcontext)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with state():
            if call.state == "detect_anomaly":
                warnings.simplefilter("always")
            before = states.of_process()
            result = call()
            faults = states.differences(before, states.of_process())
        faults += _of(result, call)
        faults += _of_repetitions(call, result, chance, state) if not faults else []
    for warning in caught:
        if issubclass(warning.category, WhyclipWarning):
            faults += checks.of_message(str(warning.message), checks.LONGEST_WARNING)
    faults += states.differences(model, states.of_model(module))
    outcome = type(result).__name__ if isinstance(result, Exception) else "result"
    return outcome, list(dict.fromkeys(faults))


def _of(result: Any, call: Call) -> list[str]:
    if isinstance(result, WhyclipError):
        return list(checks.of_message(str(result)))
    if isinstance(result, Exception):
        return [f"raw {_raised(result)}"]
    return list(checks.of_result(result, call.prompts))


def _raised(error: Exception) -> str:
    trace, place = error.__traceback__, ""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if "whyclip" in name and "benchmarks" not in name:
            place = f"{Path(name).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__} at {place}: {str(error)!r:.200}"


def _of_repetitions(call: Call, result: Any, chance: Draw, state: Any) -> Iterator[str]:
    """Compare some results with those of a repeated call, threads, a single image, and a file."""
    if call.state == "threads":
        yield from _of_threads(call, result)
    elif chance.odds(0.15):
        with state():
            again = call()
        yield from checks.of_two("called again", result, again, exactly=True)
    elif call.state != "plain" and chance.odds(0.5):
        yield from checks.of_two("in the plain state", result, call(), exactly=False)
    method = call.given.get("method")
    alone = call.kind == "explain" and isinstance(result, list) and method not in UNSTABLE
    if alone and call.given["precision"] == "fp32" and chance.odds(0.5):
        at = chance.randrange(len(result))
        single = call(call.images[at])
        yield from checks.of_two(f"image {at} alone", result[at], single, exactly=False)
    if isinstance(result, whyclip.Explanation) and chance.odds(0.1):
        yield from _of_file(result)


def _of_threads(call: Call, expected: Any) -> Iterator[str]:
    results: list[Any] = [None] * 3

    def work(at: int) -> None:
        results[at] = call()

    workers = [threading.Thread(target=work, args=(at,)) for at in range(len(results))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in results:
        yield from checks.of_two("in a thread", expected, result, exactly=False)


def _of_file(explanation: whyclip.Explanation) -> Iterator[str]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for ending in ("json", "npz", "safetensors"):
            try:
                read = whyclip.load_explanation(explanation.save(f"{folder}/kept.{ending}"))
            except Exception as error:  # noqa: BLE001 - any exception is a fault
                yield f".{ending}: {type(error).__name__}: {str(error)!r:.160}"
                continue
            if read != explanation or str(read.certificate) != str(explanation.certificate):
                yield f".{ending}: what was read is not what was saved"
