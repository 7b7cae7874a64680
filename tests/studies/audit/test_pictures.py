"""Samples of one picture count as one for every check, and for heads and geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import whyclip
from audit_toy import NAMES, Toy
from whyclip.datasets import Dataset, Sample
from whyclip.datasets.folder import Folder
from whyclip.stats.verdict import MIN_GROUPS
from whyclip.studies.audit import CHECKS, Audit, audit

METHODS = ["grad_eclip", "grad_eclip:heads=single", "decomposition"]
# A picture of the folder has one object a row, and no two masks to compare. Its mask is noise, so
# that a few pixels more are the whole picture.
SILENT = {"folder": {"prompts_follow", "inpainted_objects", "absent_classes"}, "toy": set()}


def folder(root: Path, pictures: int) -> Folder:
    """Eight rows of so many pictures, with labels, prompts and masks."""
    lines = ["image,label,mask"]
    for number in range(8):
        image = root / f"{number % pictures}.png"
        # The same rows, the same pixels: only the paths say which are one picture.
        noise = np.random.default_rng(number % 2).integers(0, 256, (40, 32, 3), np.uint8)
        Image.fromarray(noise).save(image)
        Image.fromarray(noise[..., 0] // 128).save(root / "mask.png")
        lines.append(f"{image.name},{NAMES[number // 2]},mask.png")
    (root / "index.csv").write_text("\n".join(lines))
    return Folder(root)


class Rows(Toy):
    """Samples with two objects each, of so many pictures."""

    def __init__(self, pictures: int) -> None:
        super().__init__(8)
        self.pictures = pictures

    def sample(self, index: int) -> Sample:
        return replace(super().sample(index), image_id=f"picture {index % self.pictures}")


MAKE: dict[str, Callable[[Path, int], Dataset]] = {
    "folder": folder,
    "toy": lambda _, pictures: Rows(pictures),
}


def audited(view: whyclip.ModelView, dataset: Dataset) -> Audit:
    return audit(view, dataset, METHODS, limit=8, edited=8, patches=4)


@pytest.mark.parametrize("name", MAKE)
def test_many_rows_of_two_pictures_decide_nothing(
    view: whyclip.ModelView, tmp_path: Path, name: str
) -> None:
    result = audited(view, MAKE[name](tmp_path, 2))
    estimated = [finding for finding in result.findings if not CHECKS[finding.check].fact]
    assert {finding.verdict for finding in estimated} == {"inconclusive", "not applicable"}
    measured = [finding for finding in result.findings if finding.value is not None]
    plain = {name for name, check in CHECKS.items() if check.by_default}
    able = {name for name in plain if "interventions" not in CHECKS[name].needs}
    assert {finding.check for finding in measured} >= able - SILENT[name]
    values = [f.value for f in measured] + [v for f in measured for v in f.figures.values()]
    values += [value for cell in result.cells for value in (cell.gap, cell.same)]
    assert max(value.groups for value in values if value is not None) == 2


@pytest.mark.parametrize("name", MAKE)
def test_as_many_pictures_decide(view: whyclip.ModelView, tmp_path: Path, name: str) -> None:
    result = audited(view, MAKE[name](tmp_path, MIN_GROUPS))
    assert {"pass", "fail"} <= {finding.verdict for finding in result.findings}
