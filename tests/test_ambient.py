"""Whatever state the caller left torch in: the results of a plain call, or one sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

import families
import tiny
import whyclip
from torch_states import STATES, default_dtype
from whyclip.ambient import in_plain_state
from whyclip.datasets import open_dataset
from whyclip.errors import InputError, OptionError, UnsupportedModelError
from whyclip.studies.audit import audit
from whyclip.studies.evaluation import evaluate

PARTS = tiny.openclip_parts()
VIEW = whyclip.wrap(*PARTS)
IMAGE = families.picture()
PROMPTS = ["a dog", "two red cars"]


def dataset() -> Any:
    return open_dataset("scenes", limit=2, seed=0)


def numbers(values: Any) -> torch.Tensor:
    return torch.tensor(values, device="cpu", dtype=torch.float32)


def maps_and_words(explanation: Any) -> list[torch.Tensor]:
    words = [w.relevance for prompt in explanation.words for w in prompt]
    return [
        explanation.scores,
        *([] if explanation.maps is None else [explanation.maps]),
        numbers(words),
    ]


def explained(**options: Any) -> Callable[[Path], list[torch.Tensor]]:
    return lambda _: maps_and_words(whyclip.explain(VIEW, IMAGE, PROMPTS, **options))


def pixels() -> torch.Tensor:
    draw = np.random.default_rng(0).standard_normal((2, 3, *VIEW.image.input_size))
    return torch.tensor(draw, dtype=torch.float32, device="cpu")


def preprocessed(_: Path) -> list[torch.Tensor]:
    explanations = whyclip.explain(VIEW, pixels=pixels(), prompts=PROMPTS)
    return [t for one in explanations for t in maps_and_words(one)]


def iterated(_: Path) -> list[torch.Tensor]:
    explanations = whyclip.explain_iter(VIEW, [[IMAGE], pixels()], PROMPTS)
    return [t for one in explanations for t in maps_and_words(one)]


def adapted(_: Path) -> list[torch.Tensor]:
    scorer = VIEW.scorer(PROMPTS)
    maps = whyclip.explain_func(scorer, pixels(), np.array([0, 1]), method="maskclip")
    return [scorer.directions, torch.from_numpy(maps)]


def compared(_: Path) -> list[torch.Tensor]:
    comparison = whyclip.compare(VIEW, [IMAGE], PROMPTS, ["maskclip", "rollout", "game", "legrad"])
    return [t for [one] in comparison.values() for t in maps_and_words(one)]


def interacted(_: Path) -> list[torch.Tensor]:
    result = whyclip.interaction(VIEW, IMAGE, "a dog")
    return [result.matrix, numbers([result.score, result.total])]


def loaded(_: Path) -> list[torch.Tensor]:
    view = whyclip.load("mini", "cpu")
    assert view.module is not None
    return [p.detach() for p in view.module.parameters()][:5]


def wrapped(_: Path) -> list[torch.Tensor]:
    view = whyclip.wrap(*PARTS)
    return [numbers([view.logit_scale, view.width])]


def saved(folder: Path) -> list[torch.Tensor]:
    explanation = whyclip.explain(VIEW, IMAGE, PROMPTS, method="maskclip")
    for ending in ("html", "json", "npz", "safetensors"):
        explanation.save(folder / f"x.{ending}")
    again = whyclip.load_explanation(folder / "x.npz")
    return [explanation.heatmap((20, 30)).nan_to_num(), *maps_and_words(again)]


def evaluated(_: Path) -> list[torch.Tensor]:
    evaluation = evaluate(VIEW, dataset(), ["maskclip"], ["energy_pointing"])
    return [numbers([row.value for row in evaluation.rows])]


def audited(_: Path) -> list[torch.Tensor]:
    result = audit(VIEW, dataset(), ["maskclip"], ["score_gap"], limit=2)
    return [numbers([f.value.mean for f in result.findings if f.value is not None])]


ENTRIES: dict[str, Callable[[Path], list[torch.Tensor]]] = {
    "load": loaded,
    "wrap": wrapped,
    "explain": explained(),
    "explain bf16": explained(precision="bf16"),
    "explain keep": explained(geometry="keep", method="contribution"),
    "explain against": explained(against="a cat", method="decomposition"),
    "integrated_gradients": explained(method="integrated_gradients", steps=2),
    "m2ib": explained(method="m2ib", steps=2, samples=2),
    "occlusion": explained(method="occlusion"),
    "explain pixels": preprocessed,
    "explain_iter": iterated,
    "scorer": adapted,
    "compare": compared,
    "interaction": interacted,
    "save": saved,
    "evaluate": evaluated,
    "audit": audited,
}


def state() -> tuple[Any, ...]:
    """Everything that a call must leave as it was."""
    return (
        torch.get_default_dtype(),
        torch.empty(0).device,
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.is_anomaly_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        torch.get_num_threads(),
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[torch.Tensor]]:
    folder = tmp_path_factory.mktemp("plain")
    return {name: entry(folder) for name, entry in ENTRIES.items()}


@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("entry", ENTRIES)
def test_results_and_state_are_those_of_a_plain_call(
    entry: str, name: str, plain: dict[str, list[torch.Tensor]], tmp_path: Path
) -> None:
    with STATES[name]():
        before = state()
        tensors = ENTRIES[entry](tmp_path)
        after = state()
    assert after == before
    assert len(tensors) == len(plain[entry])
    for one, other in zip(tensors, plain[entry], strict=True):
        assert one.dtype == other.dtype or one.dtype == torch.float64
        assert not one.is_inference() or name in ("inference_mode", "several")
        torch.testing.assert_close(one.float(), other.float(), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", STATES)
def test_the_state_is_restored_after_an_error(name: str) -> None:
    with STATES[name]():
        before = state()
        with pytest.raises(OptionError, match="rolout"):
            whyclip.explain(VIEW, IMAGE, PROMPTS, method="rolout")
        with pytest.raises(ZeroDivisionError):
            in_plain_state(lambda: 1 / 0)()
        with pytest.raises(KeyboardInterrupt):
            in_plain_state(interrupt)()
        assert state() == before


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("mode", [FakeTensorMode, FlopCounterMode])
@pytest.mark.parametrize("entry", ["explain", "integrated_gradients", "interaction", "wrap"])
def test_a_mode_that_cannot_be_left_gives_results_or_one_sentence(
    entry: str, mode: type, plain: dict[str, list[torch.Tensor]], tmp_path: Path
) -> None:
    try:
        with mode(**({"display": False} if mode is FlopCounterMode else {})):
            tensors = ENTRIES[entry](tmp_path)
    except InputError as error:
        message = str(error)
        assert f"cannot run under {mode.__name__}" in message
        assert len(message.splitlines()) == 1
    else:
        torch.testing.assert_close(tensors, plain[entry])


def test_inside_a_transform_of_torch_func() -> None:
    def score(x: torch.Tensor) -> torch.Tensor:
        return whyclip.explain(VIEW, IMAGE, "a dog", method="contribution").scores[0] * x

    expected = whyclip.explain(VIEW, IMAGE, "a dog", method="contribution").scores[0]
    for transform in (torch.func.grad, torch.func.vmap):
        x = torch.ones(()) if transform is torch.func.grad else torch.ones(2)
        try:
            result = transform(score)(x)
        except InputError as error:
            assert "a transform of torch.func" in str(error)  # noqa: PT017
        else:
            torch.testing.assert_close(result, expected.expand_as(result))


def test_weights_made_in_inference_mode_or_without_numbers_are_refused() -> None:
    with torch.inference_mode():
        model = tiny.openclip_model()
    with pytest.raises(UnsupportedModelError, match=r"made under torch.inference_mode"):
        whyclip.wrap(model, *PARTS[1:])
    with pytest.raises(UnsupportedModelError, match="on the device 'meta'"):
        whyclip.wrap(tiny.openclip_model().to("meta"), *PARTS[1:])
    with pytest.raises(OptionError, match="'meta' has no values"):
        whyclip.load("mini", "meta")


def test_a_direction_made_in_inference_mode_is_a_prompt() -> None:
    drawn = torch.randn(2, VIEW.width, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        direction = drawn * 1.0
    explanation = whyclip.explain(VIEW, IMAGE, direction, method="contribution", sides=["image"])
    expected = whyclip.explain(VIEW, IMAGE, drawn, method="contribution", sides=["image"])
    torch.testing.assert_close(explanation.maps, expected.maps)


def test_threads_share_the_state_and_the_last_one_restores_it() -> None:
    inside, done = threading.Barrier(2), threading.Event()
    seen: list[torch.dtype] = []

    @in_plain_state
    def first() -> None:
        inside.wait(10)
        done.wait(10)
        seen.append(torch.get_default_dtype())

    @in_plain_state
    def second() -> None:
        inside.wait(10)

    with default_dtype():
        threads = [threading.Thread(target=first), threading.Thread(target=second)]
        for thread in threads:
            thread.start()
        threads[1].join(10)
        done.set()
        threads[0].join(10)
        assert seen == [torch.float32]
        assert torch.get_default_dtype() == torch.float64
