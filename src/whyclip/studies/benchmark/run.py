"""Run the benchmark: every check and method on every model of the family."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyclip.ambient import in_plain_state
from whyclip.datasets.annotation_files import digest
from whyclip.datasets.scenes import SceneSamples
from whyclip.errors import OptionError, OutputError
from whyclip.files import make_folder, write_atomic
from whyclip.finetuning.scene_table import SIDE
from whyclip.models import ModelView
from whyclip.progress import track
from whyclip.selection import MethodsLike
from whyclip.studies.audit.variants import variants_by_label
from whyclip.studies.benchmark.criteria import CHECKS, NO_RELIANCE
from whyclip.studies.benchmark.evidence import outcomes_of
from whyclip.studies.benchmark.record import VERSION, ModelRecord
from whyclip.studies.benchmark.reliance import measure_reliance
from whyclip.studies.benchmark.result import Benchmark
from whyclip.studies.control import described
from whyclip.studies.family.cues import CONCEPTS, CUES
from whyclip.studies.family.planted import PlantedScenes
from whyclip.studies.family.recipe import FAMILY, Member
from whyclip.studies.family.weights import facts_of, family_folder, load_member, missing
from whyclip.variant import Variant

LIMIT = 120
PLANTED = 60
SEED = 24
"""Seed of scenes that are not used anywhere else."""


@in_plain_state
def benchmark(
    models: Sequence[Member | str] | None = None,
    methods: MethodsLike | None = None,
    *,
    limit: int = LIMIT,
    planted: int = PLANTED,
    seed: int = SEED,
    weights: str | Path | None = None,
    out: str | Path | None = None,
) -> Benchmark:
    """Compare explanation methods over a family of models, by changing scenes and prompts.

    Args:
        models: members of the family, for example ``"badge-0"``; default: all trained members.
        methods: as for :func:`whyclip.audit`; default: every fast method, and a random baseline.
        limit: number of scenes for the checks.
        planted: number of scenes for each cue.
        seed: random seed of the scenes.
        weights: folder with the family's weights.
        out: folder for the results of each model; the same benchmark resumes from there.

    Raises:
        OptionError: an unknown model or method, a number below 2, or no model is trained.
        OutputError: weights or results cannot be read or written.
    """
    for name, number in (("limit", limit), ("planted", planted)):
        if number < 2:
            raise OptionError(f"{name}={number}; give at least 2")
    folder = Path(weights) if weights is not None else family_folder()
    members = _members(models, folder)
    began = time.perf_counter()
    records = []
    for member in track(members, "models", len(members)):
        view = load_member(member, folder)
        plans = variants_by_label(view, methods, seed)
        settings = {
            "fingerprint": view.fingerprint, "limit": limit, "planted": planted, "seed": seed,
            "methods": {name: described(plan) for name, plan in plans.items()},
            "checks": CHECKS, "version": VERSION,
        }  # fmt: skip
        file = None if out is None else Path(out) / "models" / f"{member.name}.json"
        kept = None if file is None else _kept(file, digest(settings))
        if kept is None:
            kept = _measure(member, view, plans, limit, planted, seed)
            kept = replace(kept, facts=facts_of(member, folder))
            # Use the values as stored, so that values that differ only by rounding share a rank.
            kept = ModelRecord.from_json(kept.to_json())
            if file is not None:
                _keep(file, kept, digest(settings))
        records.append(kept)
    return Benchmark(tuple(records), seed=seed, seconds=time.perf_counter() - began)


def _members(models: Sequence[Member | str] | None, folder: Path) -> tuple[Member, ...]:
    """The named members, or by default all trained members."""
    if models is not None:
        return tuple(each if isinstance(each, Member) else Member.of(each) for each in models)
    untrained = missing(folder)
    members = tuple(member for member in FAMILY if member not in untrained)
    if not any(member.kind == NO_RELIANCE for member in members):
        raise OptionError(
            f"no model of the family is trained in {str(folder)!r:.100}; train it with "
            "'whyclip benchmark --train', or name the folder of its weights"
        )
    return members


def _measure(
    member: Member,
    view: ModelView,
    plans: Mapping[str, Variant],
    limit: int,
    planted: int,
    seed: int,
) -> ModelRecord:
    began = time.perf_counter()
    dataset = scenes_of_family(limit, seed)
    outcomes = tuple(outcomes_of(view, dataset, plans, CHECKS, seed))
    cues = [member.kind] if member.kind in CUES else list(CUES)
    reliance = {
        cue: measure_reliance(view, PlantedScenes(cue, planted, seed), list(plans.values()))
        for cue in cues
    }
    return ModelRecord(
        member.name, member.kind, member.seed, view.fingerprint, {}, outcomes, reliance,
        samples=limit, seconds=time.perf_counter() - began,
    )  # fmt: skip


def scenes_of_family(n: int, seed: int) -> SceneSamples:
    """Unseen scenes with two objects, from the training distribution of the family.

    Three objects would overlap in nearly all images of this size.
    """
    return SceneSamples(n, seed, size=SIDE, concepts=CONCEPTS, objects=2, split="test")


def _kept(file: Path, identity: str) -> ModelRecord | None:
    """Results of a model from a file, if they are from the same benchmark."""
    if not file.exists():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{str(file)!r:.100} cannot be read: {error!s:.60}; remove it to start again"
        ) from error
    if content.pop("identity", None) != identity:
        return None
    return ModelRecord.from_json(content)


def _keep(file: Path, record: ModelRecord, identity: str) -> None:
    make_folder(file.parent)
    line = json.dumps({"identity": identity, **record.to_json()}, separators=(",", ":"))
    write_atomic(file, (line + "\n").encode)


def read_benchmark(folder: str | Path) -> Benchmark:
    """Read the results of all models from a folder.

    Raises:
        OutputError: there are no results, or they cannot be read.
    """
    records = list(_records(Path(folder)))
    if not records:
        raise OutputError(f"{str(folder)!r:.100} contains no benchmark results")
    return Benchmark(tuple(records))


def _records(folder: Path) -> Iterator[ModelRecord]:
    names = {member.name: number for number, member in enumerate(FAMILY)}
    files = sorted((folder / "models").glob("*.json"), key=lambda f: names.get(f.stem, len(names)))
    for file in files:
        content = json.loads(file.read_text(encoding="utf-8"))
        content.pop("identity", None)
        yield ModelRecord.from_json(content)
