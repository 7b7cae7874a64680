"""Compare heat maps and word relevance of the embedded model with the ground truth of scenes.

    python -m training.truth --n 1000 --json benchmarks/mini_truth.json

The tests use the phrase of every object in scenes of two to four objects. Pointing game (Zhang et
al. 2018): the map's maximum is on the object. Energy in mask (Wang et al. 2020): share of the
positive relevance on the object. Chance for both is the object's share of the image. A phrase is
right if its object is among the model's k best concepts for a scene of k objects.
"""

from __future__ import annotations

import json
import warnings
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

import whyclip
from training.evaluate import WEIGHTS, Hits, Judge
from whyclip.scenes import Scene, Scenes
from whyclip.scenes.sprites import load_atlas

METHODS = ("grad_eclip", "raw_attention")


def pointing(heat: np.ndarray, mask: np.ndarray) -> float:
    """Return 1.0 if the maximum of a map `[h, w]` is in the mask, else 0.0."""
    return float(mask.ravel()[int(np.nanargmax(heat))])


def energy(values: np.ndarray, mask: np.ndarray) -> float:
    """Return the share of a map's positive relevance in a mask.

    Args:
        values: `[gh, gw]`, signed.
        mask: bool `[gh*p, gw*p]`; a patch counts by its covered share.

    Returns:
        0..1, or NaN without positive values.
    """
    gh, gw = values.shape
    p = mask.shape[0] // gh
    share = mask.reshape(gh, p, gw, p).mean((1, 3))
    positive = values.clip(min=0)
    total = positive.sum()
    return float((positive * share).sum() / total) if total > 0 else float("nan")


def names_of(scene: Scene) -> set[str]:
    """Return all words in the names and synonyms of the scene's objects."""
    atlas = load_atlas()
    words = set()
    for item in scene.objects:
        concept = atlas.concept(item.name)
        for name in (atlas.names[concept], *atlas.synonyms[concept]):
            words |= set(name.split())
    return words


def measure(
    n: int, seed: int = 77, methods: Sequence[str] = METHODS, folder: Path = WEIGHTS
) -> dict[str, Any]:
    """Return the results of each method on `n` new scenes.

    The keys are the method, then `right`, `wrong` or `captions`, then the test. The values are
    share, number and interval from :func:`training.evaluate.figure`.
    """
    model, judge = whyclip.load(f"openclip:{folder}", device="cpu"), Judge(folder)
    hits: dict[str, dict[str, dict[str, Hits]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(Hits))
    )
    scenes = Scenes(n, seed=seed, objects=(2, 4), split="test")
    for number, scene in enumerate(track(scenes, total=n, description="scenes", transient=True)):
        told = [item.phrase for item in scene.objects]
        with warnings.catch_warnings():
            # One scene in a hundred fails the in-distribution check.
            warnings.simplefilter("ignore")
            found = whyclip.compare(model, [scene.image], [*told, scene.caption], methods)
        best = set(judge.best(scene.image, len(told)))
        kinds = ["right" if item.name in best else "wrong" for item in scene.objects]
        spoken = names_of(scene)
        for method, (explained,) in found.items():
            if explained.maps is None:
                continue
            heat, maps = explained.heatmap(interpolation="bilinear").numpy(), explained.maps.numpy()
            for i, (item, kind) in enumerate(zip(scene.objects, kinds, strict=True)):
                into = hits[method][kind]
                into["pointing game"].add(number, pointing(heat[i], item.mask))
                share = energy(maps[i], item.mask)
                into["energy in mask"].add(number, 0.0 if np.isnan(share) else share)
                into["chance"].add(number, float(item.mask.mean()))
            words = explained.words[-1]
            if not words:
                continue
            named = [w.text.strip(",.") in spoken for w in words]
            top = int(np.argmax([w.relevance for w in words]))
            into = hits[method]["captions"]
            into["top word names an object"].add(number, float(named[top]))
            into["chance"].add(number, float(np.mean(named)))
    return {
        method: {kind: {q: v.figure() for q, v in qs.items()} for kind, qs in kinds.items()}
        for method, kinds in hits.items()
    }


def main(
    n: Annotated[int, typer.Option(min=1, help="scenes")] = 1000,
    folder: Annotated[Path, typer.Option(help="folder in OpenCLIP's format")] = WEIGHTS,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the results here")] = None,
) -> None:
    """Print the results, separately for right and wrong predictions."""
    figures = measure(n, folder=folder)
    table = Table("method", "phrases", "question", "%", "95 %", "n")
    for method, kinds in figures.items():
        for kind, questions in kinds.items():
            for encoded, f in questions.items():
                span = f"{100 * f['low']:.1f} - {100 * f['high']:.1f}"
                share = f"{100 * f['share']:.1f}"
                table.add_row(method, kind, encoded, share, span, str(f["n"]))
    Console().print(table)
    if json_file:
        text = json.dumps({"scenes": n, "methods": figures}, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
