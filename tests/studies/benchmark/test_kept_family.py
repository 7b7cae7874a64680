"""The kept family: what its models learned, and that the object's mask fails where badges count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whyclip.selection import variants_of
from whyclip.studies.benchmark.reliance import ORACLE, measure_reliance
from whyclip.studies.benchmark.result import correlation_over_models
from whyclip.studies.family.planted import PlantedScenes
from whyclip.studies.family.recipe import FAMILY, Member, recall, table_of
from whyclip.studies.family.weights import load_member, missing, weights_file

KEPT = Path(__file__).parent.parent.parent.parent / "benchmarks" / "family"
SCENES = 60
SEED = 7


@pytest.mark.slow
def test_every_model_is_kept_and_small() -> None:
    assert missing(KEPT) == ()
    files = [weights_file(member, KEPT) for member in FAMILY if member.kind != "untrained"]
    sizes = [file.stat().st_size for file in files]
    assert max(sizes) < 3_000_000
    assert sum(sizes) < 40_000_000


@pytest.mark.slow
def test_ordinary_models_recognise_their_objects() -> None:
    first = load_member(Member("ordinary", 0), KEPT)
    table = table_of("ordinary", first, 2000, split="test", seed=11)
    members = [member for member in FAMILY if member.kind == "ordinary"]
    recalls = [recall(load_member(member, KEPT), table) for member in members]
    # Over 3,009 objects a recall is known to 0.01.
    assert np.mean(recalls) > 0.9
    assert min(recalls) > 0.88


@pytest.mark.slow
def test_the_mask_of_the_object_fails_where_the_model_uses_its_badge() -> None:
    scenes = PlantedScenes("badge", SCENES, SEED)
    methods = variants_of(["decomposition"])
    reliances = {
        name: measure_reliance(load_member(Member.of(name), KEPT), scenes, methods)
        for name in ("ordinary-0", "ordinary-1", "badge-0", "badge-1")
    }
    drops = {name: np.array(part.drops) for name, part in reliances.items()}
    for name in ("badge-0", "badge-1"):
        assert drops[name].mean() > 0.1
        assert np.abs(drops["ordinary-0"]).mean() < drops[name].mean() / 2

    def follows(method: str) -> tuple[float, float]:
        rows = [np.array(part.raw[method]) for part in reliances.values()]
        kinds = [name.partition("-")[0] for name in reliances]
        interval = correlation_over_models(rows, list(drops.values()), kinds)
        return interval.low, interval.high

    assert follows(ORACLE)[1] < 0.5 < follows("decomposition")[0]
