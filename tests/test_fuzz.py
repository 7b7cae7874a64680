"""The fuzzer runs clean on a few cases, and sees faults that are planted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.fuzz import calls, checks, commands, states
from benchmarks.fuzz.__main__ import SHARES, case
from benchmarks.fuzz.draw import Draw
from benchmarks.fuzz.models import view_of, warm_up

import whyclip
from whyclip.errors import PromptError, WhyclipError
from whyclip.forward.forward_pass import ForwardPass
from whyclip.methods import METHODS, Relevance

SEED = 7


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up()


def test_a_few_cases_are_clean() -> None:
    ended = [case(SEED, index) for index in range(60)]
    assert [one for one in ended if one[3]] == []
    assert {kind for kind, *_ in ended} == set(SHARES)
    assert len({outcome for _, outcome, *_ in ended}) > 3


def test_a_case_is_a_function_of_seed_and_index() -> None:
    assert case(SEED, 3)[:2] == case(SEED, 3)[:2]
    one, same, other = (Draw(text).random() for text in ("1/3", "1/3", "1/4"))
    assert one == same != other


def faults(**given: Any) -> str:
    """What the fuzzer says of a call of MaskCLIP."""
    image = torch.linspace(0, 1, 3 * 40 * 40).reshape(3, 40, 40)
    call = calls.Call("explain", "openclip", image, ["a dog", "a cat"], {"method": "maskclip"})
    call.given |= {"sides": ["image"], "precision": "fp32", **given}
    return " ".join(calls.run(call, Draw("planted"))[1])


def plant(monkeypatch: pytest.MonkeyPatch, relevance: Any) -> None:
    maskclip = METHODS["maskclip"]

    def planted(forward_pass: ForwardPass, *, key_weight: bool = False) -> Relevance:
        return relevance(forward_pass, maskclip.relevance(forward_pass, key_weight=key_weight))

    methods = {**METHODS, "maskclip": replace(maskclip, relevance=planted)}
    monkeypatch.setattr("whyclip.methods.METHODS", methods)


def test_an_unplanted_method_is_clean() -> None:
    assert faults() == ""


def test_a_result_of_nan_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        whyclip,
        "explain",
        _changed(lambda result: replace(result, scores=result.scores * torch.nan)),
    )
    assert "scores are not finite" in faults()


def test_a_hook_that_is_left_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    module = view_of("openclip").module
    assert module is not None
    left: list[Any] = []

    def relevance(_: ForwardPass, result: Relevance) -> Relevance:
        left.append(module.visual.register_forward_hook(lambda *_: None))  # type: ignore[union-attr, operator]
        return result

    plant(monkeypatch, relevance)
    said = faults()
    for handle in left:
        handle.remove()
    assert "module visual" in said


def test_changed_weights_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    module = view_of("openclip").module
    assert module is not None
    weight = next(iter(module.parameters()))
    kept = weight.detach().clone()

    def relevance(_: ForwardPass, result: Relevance) -> Relevance:
        with torch.no_grad():
            weight.flatten()[0] += 1
        return result

    plant(monkeypatch, relevance)
    said = faults()
    with torch.no_grad():
        weight.copy_(kept)
    assert "weights " in said


def test_a_raw_error_and_long_messages_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def raw(*_: Any) -> Relevance:
        raise KeyError("planted")

    plant(monkeypatch, raw)
    assert "raw KeyError at" in faults()
    error = PromptError("fine")
    error.args = ("two\nlines" + "x" * 700,)
    assert len(list(checks.of_message(str(error)))) == 2


def test_a_result_that_changes_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = iter(range(100))
    monkeypatch.setattr(
        whyclip,
        "explain",
        _changed(lambda result: replace(result, maps=result.maps + next(turns))),
    )
    call = calls.Call("explain", "openclip", torch.rand(3, 40, 40), "a dog", {"method": "maskclip"})
    call.given |= {"sides": ["image"], "precision": "fp32"}
    # One in seven calls is repeated; of a hundred draws some are.
    said = [" ".join(calls.run(call, Draw(f"draw {at}"))[1]) for at in range(40)]
    assert any("called again: results differ" in text for text in said)


def test_a_green_mark_for_another_scope_is_seen() -> None:
    explanation = whyclip.explain(
        view_of("openclip"), torch.rand(3, 40, 40), "a dog", method="random"
    )
    assert not list(checks.of_result(explanation, "a dog"))
    lying = replace(explanation.certificate, scope={"image": "score", "text": "score"})
    said = " ".join(checks.of_result(replace(explanation, certificate=lying), "a dog"))
    assert "green with scopes" in said


def test_a_state_that_is_left_is_seen() -> None:
    before = states.of_process()
    torch.set_default_dtype(torch.float64)
    try:
        assert "default dtype" in " ".join(states.differences(before, states.of_process()))
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_fault_of_a_command_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert commands.run(["explain", "no.png", "a dog"], tmp_path) == ("exit 2", [])

    def raw(*_: Any, **__: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("whyclip.cli.explain.split", raw)
    outcome, said = commands.run(["explain", "no.png", "a dog"], tmp_path)
    assert outcome == "exit 3"
    assert "exit code 3" in said[0]


def _changed(change: Any) -> Any:
    explain = whyclip.explain

    def changed(*given: Any, **more: Any) -> Any:
        result = explain(*given, **more)
        return result if isinstance(result, WhyclipError) else change(result)

    return changed
