"""The public names of the package lead to what they are called."""

from __future__ import annotations

import pytest

import whyclip.finetuning


def test_each_public_name_is_the_thing_of_that_name() -> None:
    assert whyclip.finetuning.__all__ == sorted(whyclip.finetuning.__all__)
    for name in whyclip.finetuning.__all__:
        assert getattr(whyclip.finetuning, name).__name__ == name
    with pytest.raises(AttributeError, match="no_such"):
        _ = whyclip.finetuning.no_such
