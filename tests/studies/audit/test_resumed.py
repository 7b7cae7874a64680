"""An audit that was interrupted resumes, and one broken image does not end it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import tiny
import whyclip
from audit_toy import Toy
from whyclip.datasets.folder import Folder
from whyclip.errors import InputError
from whyclip.studies.audit import Audit, audit

CHECKS = ["score_gap", "localisation_true", "patch_masked", "shuffled_weights", "word_removal"]
WHEN = {"seconds", "date"}


def run(view: Any, dataset: Any, out: Path | None = None, **other: Any) -> Audit:
    options: dict[str, Any] = {"limit": 8, "edited": 3, "patches": 3, "checks": CHECKS, **other}
    return audit(view, dataset, options.pop("methods", ["contribution"]), out=out, **options)


def content_of(audited: Audit) -> dict[str, Any]:
    return {key: value for key, value in audited.to_json().items() if key not in WHEN}


def test_what_was_measured_is_not_measured_again(
    view: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyclip.studies.audit import measure, shuffled

    whole = run(view, Toy(8))
    looked: list[int] = []
    look, again = measure.explained_case, shuffled._explained_again

    def watched(setup: Any, sample: Any, index: int) -> Any:
        if index == 5 and 5 not in looked:
            looked.append(5)
            raise KeyboardInterrupt
        looked.append(index)
        return look(setup, sample, index)

    monkeypatch.setattr(measure, "explained_case", watched)
    with pytest.raises(KeyboardInterrupt):
        run(view, Toy(8), tmp_path)
    assert looked == [0, 1, 2, 3, 4, 5]
    calls: list[int] = []

    def stopped(*arguments: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return again(*arguments)

    monkeypatch.setattr(shuffled, "_explained_again", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(view, Toy(8), tmp_path)
    assert looked[6:] == [5, 6, 7]
    resumed = run(view, Toy(8), tmp_path)
    assert len(looked) == 9
    assert content_of(resumed) == content_of(whole)
    monkeypatch.setattr(shuffled, "_explained_again", None)
    assert content_of(run(view, Toy(8), tmp_path)) == content_of(whole)


def test_half_a_line_is_measured_again(view: Any, tmp_path: Path) -> None:
    whole = run(view, Toy(8), tmp_path)
    [file] = tmp_path.glob("measured-*")
    content = file.read_bytes()
    for length in (len(content) // 3, len(content) - 9, 20, 0):
        file.write_bytes(content[:length])
        assert content_of(run(view, Toy(8), tmp_path)) == content_of(whole)
        assert file.read_bytes() == content


def test_nothing_of_another_audit_is_taken(tmp_path: Path) -> None:
    one = whyclip.wrap(*tiny.openclip_parts(), name="tiny")
    other = whyclip.wrap(*tiny.openclip_parts(seed=1), name="tiny")
    first = content_of(run(one, Toy(8), tmp_path))
    changes: list[dict[str, Any]] = [
        {"seed": 1},
        {"patches": 2},
        {"checks": ["patch_masked"]},
        {"methods": ["grad_eclip:heads=single"]},
    ]
    for options in changes:
        assert content_of(run(one, Toy(8), tmp_path, **options)) == content_of(
            run(one, Toy(8), **options)
        )
    assert content_of(run(other, Toy(8), tmp_path)) == content_of(run(other, Toy(8))) != first
    assert len(list(tmp_path.glob("measured-*"))) == 2 + len(changes)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    where = tmp_path / "photos"
    where.mkdir()
    rows = ["image,label,mask"]
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(where / f"{number}.png")
        mask = np.zeros((32, 32), np.uint8)
        mask[4:20, 10 + number :] = 255
        Image.fromarray(mask).save(where / f"mask{number}.png")
        rows.append(f"{number}.png,{('dog', 'cat')[number % 2]},mask{number}.png")
    (where / "index.csv").write_text("\n".join(rows))
    return where


def test_broken_samples_are_listed_and_repaired_ones_measured(
    view: Any, photos: Path, tmp_path: Path
) -> None:
    whole = run(view, Folder(photos))
    original = (photos / "1.png").read_bytes()
    (photos / "1.png").write_bytes(original[:90])
    mask = (photos / "mask3.png").read_bytes()
    Image.new("L", (20, 20)).save(photos / "mask3.png")
    broken = run(view, Folder(photos), tmp_path / "out")
    assert [name for name, _ in broken.failed] == ["1.png#0", "3.png#0"]
    assert "20x20 pixels and its image 32x32" in broken.failed[1][1]
    assert broken.samples == 4
    assert broken.notes[0].startswith("2 of 6 samples failed; first: '1.png#0': ")
    assert Audit.from_json(broken.to_json()).failed == broken.failed
    broken.save(tmp_path / "out")
    assert "2 of 6 samples failed" in (tmp_path / "out" / "report.md").read_text()
    assert "3.png#0" in (tmp_path / "out" / "failed-samples.csv").read_text()

    (photos / "1.png").write_bytes(original)
    (photos / "mask3.png").write_bytes(mask)
    assert content_of(run(view, Folder(photos), tmp_path / "out")) == content_of(whole)


def test_an_audit_without_any_sample_is_refused_and_leaves_nothing(
    view: Any, photos: Path, tmp_path: Path
) -> None:
    for number in range(6):
        (photos / f"{number}.png").unlink()
    with pytest.raises(InputError, match=r"none of the 6 samples can be audited; '0.png#0'"):
        run(view, Folder(photos), tmp_path / "out")
    assert not (tmp_path / "out").exists()
