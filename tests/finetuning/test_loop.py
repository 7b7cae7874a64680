"""The loop against a plain one, and the ways in which a run can go wrong."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import families
import small_runs
import whyclip
from small_runs import CONFIG, Noise, extract, noise_examples, openclip_tiny, settings
from whyclip.errors import (
    InputError,
    OptionError,
    OutputError,
    UnsupportedModelError,
    WhyclipError,
)
from whyclip.finetuning.batch import Example, make_batch
from whyclip.finetuning.captions import Skipped, UnusableError
from whyclip.finetuning.checkpoint import checkpoints, step_of
from whyclip.finetuning.interrupt import Interrupted, stoppable
from whyclip.finetuning.logs import read_log
from whyclip.finetuning.objective import Objective
from whyclip.finetuning.train import finetune


def plain_loop(steps: int, accumulate: int) -> list[tuple[float, float]]:
    """Losses and gradient norms of the same run, written down without any library for it."""
    view, data = openclip_tiny(), noise_examples()
    order = list(Noise().order(0, seed=0))
    objective = Objective(view)
    objective.train()
    decayed = [p for p in objective.parameters() if p.ndim > 1]
    others = [p for p in objective.parameters() if p.ndim <= 1]
    moments = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in decayed + others}
    losses_and_norms, at = [], 0
    for step in range(steps):
        rate = 1e-3 * (step + 1) / 2
        if step >= 2:
            rate = 1e-3 * (1 + math.cos(math.pi * (step - 2) / (steps - 2))) / 2
        losses = []
        for _ in range(accumulate):
            examples = [data[index] for index in order[at : at + 4]]
            at += 4
            loss = objective(make_batch(view, examples, extract=extract))["loss"]
            (loss / accumulate).backward()
            losses.append(float(loss.detach()))
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in moments if p.grad is not None))
        losses_and_norms.append((sum(losses) / accumulate, norm))
        with torch.no_grad():
            for p, (first, second) in moments.items():
                if p.grad is None:
                    continue
                g = p.grad / max(1.0, norm)
                first.mul_(0.9).add_(0.1 * g)
                second.mul_(0.98).add_(0.02 * g * g)
                if p.ndim > 1:
                    p.mul_(1 - rate * 0.1)
                step_size = first / (1 - 0.9 ** (step + 1))
                p.sub_(rate * step_size / ((second / (1 - 0.98 ** (step + 1))).sqrt() + 1e-8))
                p.grad = None
    return losses_and_norms


@pytest.mark.parametrize("accumulate", [1, 2])
def test_losses_and_gradients_are_those_of_a_plain_loop(tmp_path: Path, accumulate: int) -> None:
    small_runs.run(tmp_path / "run", steps=4, accumulate=accumulate)
    rows = read_log(tmp_path / "run" / "metrics.csv")
    expected = plain_loop(4, accumulate)
    assert [row["loss"] for row in rows] == pytest.approx([e[0] for e in expected], rel=2e-3)
    assert [row["gradient_norm"] for row in rows] == pytest.approx(
        [e[1] for e in expected], rel=1e-2
    )
    assert [row["loss"] - row["global"] - row["local"] for row in rows] == pytest.approx(
        [0] * 4, abs=1e-5
    )


def test_a_checkpointed_block_and_half_precision_change_the_loss_by_rounding(
    tmp_path: Path,
) -> None:
    def first(**more: Any) -> float:
        name = "-".join(more) or "plain"
        small_runs.run(tmp_path / name, steps=1, **more)
        return read_log(tmp_path / name / "metrics.csv")[0]["loss"]

    plain = first()
    assert first(checkpoint_blocks=True) == pytest.approx(plain, rel=1e-5)
    half = first(precision="bf16")
    assert half == pytest.approx(plain, rel=0.1)
    assert half != plain


@pytest.mark.parametrize("fail", [None, 9])
def test_the_module_gets_its_modes_and_flags_back(tmp_path: Path, fail: int | None) -> None:
    view = openclip_tiny()
    assert view.module is not None
    named = dict(view.module.named_parameters())
    named["visual.conv1.weight"].requires_grad_(False)
    before = {name: p.detach().clone() for name, p in named.items()}
    python, numpy, torchs = os.urandom(1), np.random.get_state()[1].copy(), torch.get_rng_state()
    assert python
    chosen = settings(lora=2, freeze_text=True)
    try:
        finetune(view, Noise(fail=fail), tmp_path, chosen, progress=False, config=CONFIG)
        assert fail is None
    except RuntimeError:
        assert fail is not None
    assert not any(part.training for part in view.module.modules())
    after = dict(view.module.named_parameters())
    assert after.keys() == before.keys(), "adapters are merged"
    assert [n for n, p in after.items() if not p.requires_grad] == ["visual.conv1.weight"]
    assert all(p.grad is None for p in after.values())
    assert (np.random.get_state()[1] == numpy).all()
    assert torch.get_rng_state().equal(torchs)
    differing = {name for name, p in after.items() if not p.equal(before[name])}
    assert differing, "training is the point"
    assert all(".mlp." in name and name.startswith("visual.") for name in differing)
    whyclip.explain(view, families.picture(), ["a dog"], method="grad_eclip")


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_checkpoint(tmp_path: Path) -> None:
    class Broken(Objective):
        calls = 0

        def forward(self, batch: Any) -> dict[str, torch.Tensor]:
            Broken.calls += 1
            parts = super().forward(batch)
            if Broken.calls == 6:
                parts["local"] = parts["local"] * math.nan
                parts["loss"] = parts["global"] + parts["local"]
            return parts

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whyclip.finetuning.train.Objective", Broken)
        with pytest.raises(InputError) as error:
            small_runs.run(tmp_path, checkpoint_every=2)
    for words in ("step 6", "loss is nan", "learning_rate (now 0.001)", "step 4 is kept"):
        assert words in str(error.value), error.value
    assert [step_of(path) for path in checkpoints(tmp_path)] == [2, 4]


def test_ctrl_c_finishes_the_step_and_writes_a_checkpoint(tmp_path: Path) -> None:
    class Pressed(Noise):
        def read(self, item: int) -> Example:
            if self.reads == 10:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGTERM)  # as a launcher adds
            return super().read(item)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted, match="stopped after step 3 of 8") as error:
        small_runs.run(tmp_path, Pressed())
    assert error.value.step == 3
    assert isinstance(error.value, KeyboardInterrupt)
    assert [step_of(path) for path in checkpoints(tmp_path)] == [3]
    assert signal.getsignal(signal.SIGINT) is before


def test_input_that_cannot_be_trained_on(tmp_path: Path) -> None:
    def failing(view: Any = None, data: Any = None, out: Path = tmp_path, **more: Any) -> str:
        with pytest.raises((InputError, UnsupportedModelError)) as error:
            finetune(view or openclip_tiny(), data or Noise(), out, settings(**more), config=CONFIG)
        return str(error.value)

    opaque = whyclip.wrap(*families.SMALL["vit-average"](), "averaging")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whyclip.finetuning.train.saver", lambda *_: None)
        assert "it averages its patches" in failing(opaque)
    halved = openclip_tiny()
    assert halved.module is not None
    halved.module.half()
    assert "float16" in failing(halved)
    few = Noise(noise_examples(3))
    assert "fewer than one batch of 4" in failing(data=few, out=tmp_path / "few")
    wrong = Example("x7", families.picture(), "a dog", ("dog",), (np.ones((3, 3), bool),))
    message = failing(data=Noise([wrong] * 4), out=tmp_path / "mask")
    assert "x7" in message
    assert "3x3" in message
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "photo.txt").write_text("mine")
    assert "holds no run" in failing(out=tmp_path / "else")
    (tmp_path / "file").write_text("mine")
    assert "is a file" in failing(out=tmp_path / "file")
    assert "needs a GPU" in failing(precision="fp16", out=tmp_path / "fp16")
    assert "grad_elcip" in failing(guidance="grad_elcip", out=tmp_path / "guidance")
    assert not (tmp_path / "guidance").exists(), "nothing is written before the input is checked"


def test_an_openclip_model_in_memory_needs_its_configuration(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="config='ViT-B-16'"):
        finetune(openclip_tiny(), Noise(), tmp_path / "run", settings())
    other = {**CONFIG, "quick_gelu": True}
    with pytest.raises(OptionError, match="different embeddings"):
        finetune(openclip_tiny(), Noise(), tmp_path / "run", settings(), config=other)
    with pytest.raises(OptionError, match="does not describe this model"):
        finetune(openclip_tiny(), Noise(), tmp_path / "run", settings(), config="ViT-B-32")


def test_a_checkpoint_that_does_not_fit_on_the_disk(tmp_path: Path) -> None:
    import resource

    small_runs.run(tmp_path, steps=8, checkpoint_every=2, batch_size=2)
    kept = {path.name: sorted(path.iterdir()) for path in checkpoints(tmp_path)}
    assert list(kept) == ["step-000006", "step-000008"]
    # The last one, so that the run has something left to do.
    for file in kept.pop("step-000008"):
        file.unlink()
    (tmp_path / "checkpoints" / "step-000008").rmdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        with pytest.raises(OutputError) as error:
            small_runs.run(tmp_path, steps=8, checkpoint_every=2, batch_size=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    for words in ("checkpoint of step 8", "free some space", "step 6 is kept"):
        assert words in str(error.value), error.value
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-000006"]
    assert small_runs.run(tmp_path, steps=8, checkpoint_every=2, batch_size=2).resumed == 6


class Dying(Noise):
    """Data whose worker process is killed, as the system does when memory runs out."""

    def read(self, item: int) -> Example:
        if self.reads == 20 and torch.utils.data.get_worker_info() is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(item)


def test_workers_give_the_same_curve_and_may_die(tmp_path: Path) -> None:
    small_runs.run(tmp_path / "none", steps=4)
    small_runs.run(tmp_path / "two", steps=4, workers=2)
    ours, theirs = (read_log(tmp_path / name / "metrics.csv") for name in ("none", "two"))
    assert [row["loss"] for row in ours] == [row["loss"] for row in theirs]
    with pytest.raises(WhyclipError, match="a data worker stopped"):
        small_runs.run(tmp_path / "dead", Dying(), workers=1, checkpoint_every=1)
    kept = checkpoints(tmp_path / "dead")
    assert kept
    done = small_runs.run(tmp_path / "dead", Noise(), workers=1, checkpoint_every=1)
    assert done.resumed == step_of(kept[-1])


def test_a_later_ctrl_c_interrupts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr("whyclip.finetuning.interrupt.time.monotonic", lambda: now[0])
    with stoppable() as stop:
        assert not stop.wanted
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.wanted
        now[0] += 3
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_rows_are_logged_at_the_chosen_steps_and_at_the_end(tmp_path: Path) -> None:
    small_runs.run(tmp_path / "all", steps=8)
    small_runs.run(tmp_path / "some", steps=8, log_every=3)
    every = read_log(tmp_path / "all" / "metrics.csv")
    some = read_log(tmp_path / "some" / "metrics.csv")
    assert [row["step"] for row in some] == [3, 6, 8]
    assert [row["loss"] for row in some] == [every[k - 1]["loss"] for k in (3, 6, 8)]


def test_a_data_set_of_broken_examples_counts_each_once(tmp_path: Path) -> None:
    class Broken(Noise):
        def read(self, item: int) -> Example:
            if item % 10 == 3:
                raise UnusableError(Skipped(str(item), "image cannot be read"))
            return super().read(item)

    chosen: dict[str, Any] = {"steps": 24, "checkpoint_every": 5}
    done = small_runs.run(tmp_path / "whole", Broken(), **chosen)
    assert done.skipped == 4, "in two epochs and more, each of the four"
    with pytest.raises(RuntimeError, match="lost its power"):
        small_runs.run(tmp_path / "cut", Broken(fail=60), **chosen)
    again = small_runs.run(tmp_path / "cut", Broken(), **chosen)
    assert again.resumed
    whole, cut = (read_log(tmp_path / name / "metrics.csv") for name in ("whole", "cut"))
    for name in ("loss", "skipped"):
        assert [row.get(name) for row in cut] == [row.get(name) for row in whole]
