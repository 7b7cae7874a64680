"""Settings are checked with their values quoted, and the learning rate follows its formula."""

from __future__ import annotations

import math
from typing import Any

import pytest

from whyclip.errors import OptionError
from whyclip.finetuning.settings import Settings, changed


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, ["steps=0", "at least 1"]),
        ({"steps": 3.5}, ["steps=3.5", "whole number"]),
        ({"steps": 3, "epochs": 1}, ["steps=3", "epochs=1"]),
        ({"epochs": 0}, ["epochs=0", "above 0"]),
        ({"batch_size": -4}, ["batch_size=-4"]),
        ({"learning_rate": 0}, ["learning_rate=0", "above 0"]),
        ({"learning_rate": math.nan}, ["learning_rate=nan"]),
        ({"learning_rate": 1e38}, ["learning_rate=1e+38", "at most 1e+30"]),
        ({"learning_rate": "fast"}, ["learning_rate='fast'"]),
        ({"ema": 1.0}, ["ema=1.0", "below 1"]),
        ({"lora": True}, ["lora=True"]),
        ({"betas": (0.9,)}, ["betas=(0.9,)"]),
        ({"betas": (0.9, 1.0)}, ["betas=(0.9, 1.0)"]),
        ({"precision": "fp61"}, ["'fp61'", "fp16"]),
        ({"template": "a photo"}, ["'a photo'", "{}"]),
        ({"extractor": 3}, ["extractor=3"]),
        ({"removal": -1}, ["removal=-1"]),
    ],
)
def test_a_wrong_value_is_quoted(wrong: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(OptionError) as error:
        Settings(**wrong)
    assert all(word in str(error.value) for word in words), error.value


def test_the_rate_rises_to_its_peak_and_falls_along_a_cosine() -> None:
    settings = Settings(learning_rate=0.3, warmup=10)
    rates = [settings.rate(step, 110) for step in range(110)]
    assert rates[:10] == pytest.approx([0.03 * (k + 1) for k in range(10)])
    assert rates[10] == pytest.approx(0.3)
    assert rates[60] == pytest.approx(0.15), "half of it in the middle of the cosine"
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert 0 < rates[-1] < 0.001


def test_epochs_become_steps() -> None:
    settings = Settings(epochs=1.5, batch_size=10, accumulate=2)
    assert settings.total(400) == 30
    assert Settings().total(None) == 1000
    with pytest.raises(OptionError, match=r"epochs=1\.5 needs data of known size"):
        settings.total(None)


def test_only_settings_that_change_the_result_count_as_changed() -> None:
    before = Settings(seed=1, workers=0, log_every=1).as_json()
    now = Settings(seed=2, workers=4, log_every=7).as_json()
    assert [line.split()[0] for line in changed(before, now)] == ["seed"]
    assert changed({**before, "data": "a"}, {**before, "data": "b"}) == ["data (was 'a', now 'b')"]
