"""The explained forward pass is the user's own, and leaves nothing behind."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

import families
import tiny
import whyclip
from families import TEXTS, picture
from whyclip.errors import ScoreMismatchError, UnsupportedModelError
from whyclip.forward import run as forward
from whyclip.forward.run import run_tower
from whyclip.forward.targets import Targets
from whyclip.inputs import tokenize
from whyclip.models import ModelView

PARTS: dict[str, Callable[[], Any]] = {
    "openclip": tiny.openclip_parts,
    "hf": tiny.hf_parts,
    **families.SMALL,
}


@pytest.fixture
def view() -> ModelView:
    return whyclip.wrap(*tiny.openclip_parts())


def inputs_of(view: ModelView) -> list[tuple[Any, torch.Tensor]]:
    seeded = torch.Generator().manual_seed(0)
    pixels = torch.randn(2, 3, *view.image.input_size, generator=seeded)
    ids = tokenize(view.tokenizer, TEXTS, view.text.context).ids
    return [(view.image, pixels), (view.text, ids)]


def hooks_of(module: nn.Module) -> list[int]:
    return [
        len(part._forward_pre_hooks) + len(part._forward_pre_hooks_with_kwargs)
        for part in module.modules()
    ]


@pytest.mark.parametrize("name", PARTS)
def test_what_hooks_record_is_what_the_blocks_get_one_by_one(name: str) -> None:
    view = whyclip.wrap(*PARTS[name]())
    targets = Targets(torch.eye(view.width)[:3])
    for tower, inputs in inputs_of(view):
        kept = len(tower.blocks)
        public = run_tower(tower, inputs, targets, keep=kept)
        walked = run_tower(tower, inputs, targets, keep=kept, check="none")
        with torch.no_grad():
            assert torch.equal(public.embedding, tower.encode(inputs).float())
        torch.testing.assert_close(public.embedding, walked.embedding, rtol=1e-5, atol=1e-5)
        assert public.checked == len(inputs)
        assert walked.checked == (len(inputs) if tower.opaque else 0)
        assert public.states.keys() == walked.states.keys()
        for index, state in walked.states.items():
            torch.testing.assert_close(public.states[index], state, rtol=1e-5, atol=1e-5)
        assert torch.equal(public.stream.content_mask, walked.stream.content_mask)
        assert torch.equal(public.stream.readout_index, walked.stream.readout_index)
        assert public.stream.grid == walked.stream.grid


@pytest.mark.parametrize("name", PARTS)
def test_every_family_is_read_from_its_own_pass(name: str, monkeypatch: Any) -> None:
    view = whyclip.wrap(*PARTS[name]())
    monkeypatch.setattr(forward, "_walk", None)
    for tower, inputs in inputs_of(view):
        assert run_tower(tower, inputs, Targets(torch.eye(view.width)[:1])).checked == len(inputs)


def _as_before(whole: Any, *args: Any, **kwargs: Any) -> Any:
    return whole(*args, **kwargs)


class Stopped(BaseException):
    """Raised in the middle, as an interrupt is."""


def test_an_interrupt_at_any_line_leaves_no_hook(view: ModelView) -> None:
    """Stop at the first, second, third ... line of the code that sets and removes hooks."""
    tower, pixels = inputs_of(view)[0]
    assert view.module is not None
    before = hooks_of(view.module)
    watched = {forward.recorded_inputs.__wrapped__.__code__.co_filename, forward.__file__}
    stopped = 0
    for line in range(10_000):
        left = [line]

        def trace(frame: Any, event: str, _: Any, left: list[int] = left) -> Any:
            if frame.f_code.co_filename not in watched:
                return None
            if event == "line":
                left[0] -= 1
                if left[0] == -1:
                    raise Stopped
            return trace

        sys.settrace(trace)
        try:
            run_tower(tower, pixels, Targets(torch.eye(view.width)[:1]))
        except Stopped:
            stopped += 1
        finally:
            sys.settrace(None)
        assert hooks_of(view.module) == before, f"stopped at line event {line}"
        if left[0] >= 0:
            break
    assert stopped > 40


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
def test_a_model_that_raises_is_left_as_it_was(view: ModelView, error: type[BaseException]) -> None:
    assert view.module is not None
    before = hooks_of(view.module)

    def fail(*_: Any) -> None:
        raise error("inside the user's model")

    handle = view.module.visual.ln_post.register_forward_hook(fail)
    with pytest.raises(error):
        whyclip.explain(view, picture(), "a dog")
    handle.remove()
    assert hooks_of(view.module) == before
    assert whyclip.explain(view, picture(), "a dog").certificate.explains_score


def test_threads_do_not_read_each_others_passes(view: ModelView) -> None:
    assert view.module is not None
    images = [picture(40 + index, 40) for index in range(6)]
    alone = [whyclip.explain(view, image, "a dog") for image in images]
    together: dict[int, Any] = {}
    stop = threading.Event()

    def plain() -> None:
        while not stop.is_set():
            with torch.no_grad():
                view.module.encode_image(torch.randn(3, 3, *view.image.input_size))

    def explain(index: int) -> None:
        together[index] = [whyclip.explain(view, images[index], "a dog") for _ in range(4)]

    background = threading.Thread(target=plain)
    workers = [threading.Thread(target=explain, args=(index,)) for index in range(len(images))]
    background.start()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    stop.set()
    background.join()
    for index, expected in enumerate(alone):
        for explanation in together[index]:
            torch.testing.assert_close(explanation.maps, expected.maps, rtol=1e-5, atol=1e-7)
            assert explanation.certificate.explains_score
    assert sum(hooks_of(view.module)) == 0


def test_a_compiled_encoder_is_walked_and_compared(view: ModelView) -> None:
    assert view.module is not None
    expected = whyclip.explain(view, picture(), "a dog")
    calls = []

    def backend(graph: Any, _: Any) -> Any:
        calls.append(graph)
        return graph.forward

    view.module.visual.transformer = torch.compile(view.module.visual.transformer, backend=backend)
    compiled = whyclip.explain(view, picture(), "a dog")
    assert calls
    torch.testing.assert_close(compiled.maps, expected.maps, rtol=1e-5, atol=1e-7)
    assert compiled.certificate.explains_score
    assert sum(hooks_of(view.module)) == 0


def test_of_many_prompts_the_certificate_says_how_many_were_checked(view: ModelView) -> None:
    prompts = [f"a dog number {index}" for index in range(100)]
    method = {"method": "contribution"}
    auto = whyclip.explain(view, picture(), prompts, **method).certificate
    # The first 16, and one of each batch of 64 after them.
    assert auto.checked == {"image": (1, 1), "text": (18, 100)}
    assert auto.checked_on == "checked on 18 of 100 prompts"
    assert auto.explains_score
    every = whyclip.explain(view, picture(), prompts, check="all", **method).certificate
    assert every.checked_on == "checked on this input"
    none = whyclip.explain(view, picture(), prompts, check="none", **method).certificate
    assert none.score_check == "not run"
    assert none.verdict == "score check not run"
    assert not none.explains_score
    assert every.score_model == pytest.approx(none.score_model, abs=1e-6)


@pytest.mark.parametrize("check", ["auto", "all"])
def test_a_text_encoder_that_answers_otherwise_is_noticed(view: ModelView, check: Any) -> None:
    assert view.module is not None
    encode = view.module.encode_text
    view.module.encode_text = lambda ids, normalize=False: -encode(ids, normalize=normalize)
    with pytest.raises(ScoreMismatchError, match=r"explains score -0\.\d+.* gives 0\.\d+"):
        whyclip.explain(view, picture(), "a dog", check=check)


def test_training_mode_after_wrapping_is_refused(view: ModelView) -> None:
    assert view.module is not None
    view.module.visual.train()
    with pytest.raises(UnsupportedModelError, match=r"training mode.*model\.eval\(\)"):
        whyclip.explain(view, picture(), "a dog")


def test_what_the_user_hooks_into_the_model_is_explained(view: ModelView) -> None:
    """A hook before the explained block changes the model; the explanation follows it."""
    assert view.module is not None
    plain = whyclip.explain(view, picture(), "a dog", method="grad_eclip")
    first = view.module.visual.transformer.resblocks[0]
    handle = first.register_forward_hook(lambda _, __, out: out * 0.5)
    hooked = whyclip.explain(view, picture(), "a dog", method="grad_eclip")
    with torch.no_grad():
        image = view.module.encode_image(view.preprocess(picture())[None])
        text = view.module.encode_text(view.tokenizer(["a dog"]))
    expected = float(nn.functional.cosine_similarity(image, text))
    assert hooked.certificate.score_model[0] == pytest.approx(expected, abs=1e-6)
    assert hooked.certificate.explains_score
    assert float(hooked.scores[0]) != pytest.approx(float(plain.scores[0]), abs=1e-3)
    handle.remove()


# The decoders of the small CoCas do not fit their encoders: nobody can call them as a whole.
CALLABLE = [name for name in PARTS if not name.startswith("coca")]


@pytest.mark.parametrize("name", CALLABLE)
@pytest.mark.parametrize("how", ["hook", "forward"])
def test_the_model_called_as_a_whole_must_agree(name: str, how: str) -> None:
    """A harmless hook on the model itself passes; one that changes its answer does not."""
    view = whyclip.wrap(*PARTS[name]())
    module: Any = view.module
    if how == "hook":
        module.register_forward_hook(lambda *_: None)
    else:
        whole = module.forward
        module.forward = partial(_as_before, whole)
    words: dict[str, Any] = {"method": "leave_one_out", "sides": ["text"]}
    explained = whyclip.explain(view, picture(), TEXTS[:2], **words)
    assert explained.certificate.score_check == "passed"

    def wrong(output: Any) -> Any:
        if isinstance(output, tuple):
            return (-output[0], *output[1:])
        key = next(k for k in ("image_features", "logits_per_image", "itm_score") if k in output)
        output[key] = output[key] * -1.0 - 3.0
        return output

    if how == "hook":
        module.register_forward_hook(lambda _, __, output: wrong(output))
    else:
        module.forward = lambda *args, **kwargs: wrong(whole(*args, **kwargs))
    with pytest.raises(ScoreMismatchError, match=r"give score .*as a whole gives"):
        whyclip.explain(view, picture(), TEXTS[:2], **words)


@pytest.mark.parametrize("method", ["kernel_shap", "contribution"])
@pytest.mark.parametrize("name", ["openclip", "hf"])
def test_threads_share_no_state_of_the_libraries(name: str, method: str) -> None:
    """Tokenizers keep padding as state, and KernelSHAP draws from a generator of the process."""
    view = whyclip.wrap(*PARTS[name]())
    prompts = [["a dog", "two red cars next to a tree"], ["a cat"], ["it", "red", "a photo of it"]]
    options: dict[str, Any] = {"method": method}
    if method == "kernel_shap":
        options |= {"samples": 40, "cells": 3}
    alone = [whyclip.explain(view, picture(), given, **options) for given in prompts]
    results: dict[int, list[Any]] = {}

    def explain(index: int) -> None:
        results[index] = [
            whyclip.explain(view, picture(), prompts[index], **options) for _ in range(8)
        ]

    workers = [threading.Thread(target=explain, args=(index,)) for index in range(len(prompts))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for index, expected in enumerate(alone):
        for one in results[index]:
            torch.testing.assert_close(one.maps, expected.maps, rtol=1e-4, atol=1e-6)
            assert [w.text for w in one.words[0]] == [w.text for w in expected.words[0]]
