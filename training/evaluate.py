"""Evaluate the embedded model on new scenes, zero-shot over all concepts.

python -m training.evaluate --json benchmarks/mini.json
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from whyclip.errors import OptionError
from whyclip.metrics import interval, wilson
from whyclip.scenes.captions import RELATIONS, phrase, relation_of
from whyclip.scenes.drawing import COLOURS, draw
from whyclip.scenes.layout import SIDE, HeldOut, Layout, Split, keys_of, sample_layouts
from whyclip.scenes.sprites import load_atlas

WEIGHTS = Path(str(files("whyclip.mini") / "weights"))
_CHUNK = 50


class Judge:
    """A model with the embeddings of all phrases, for zero-shot evaluation."""

    def __init__(self, folder: Path = WEIGHTS) -> None:
        """Load a model from an OpenCLIP folder, with plain OpenCLIP."""
        name = f"local-dir:{folder}"
        model, _, _ = open_clip.create_model_and_transforms(name)
        self.model = model.eval()
        self.tokenizer = open_clip.get_tokenizer(name)
        self.atlas = load_atlas()
        self.bank = self.texts([phrase(n) for n in self.atlas.names])

    @torch.no_grad()
    def texts(self, phrases: list[str]) -> torch.Tensor:
        """Return unit embeddings `[n, e]` of phrases."""
        return F.normalize(self.model.encode_text(self.tokenizer(phrases)), dim=-1)

    @torch.no_grad()
    def images(self, layout: Layout) -> torch.Tensor:
        """Return unit embeddings `[b, e]` of scenes, with pixels rounded to 8 bits as in files."""
        pixels = draw(self.atlas, layout, SIDE, SIDE)[0].mul(255).round().div(255)
        return F.normalize(self.model.encode_image(pixels * 2 - 1), dim=-1)

    @torch.no_grad()
    def best(self, image: Image.Image, k: int) -> list[str]:
        """Return the names of the `k` best-matching concepts of a 224 x 224 image."""
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        found = F.normalize(self.model.encode_image(pixels * 2 - 1), dim=-1)[0]
        order = (self.bank @ found).argsort(descending=True)[:k]
        return [self.atlas.names[i] for i in order]

    def scenes(
        self, n: int, objects: tuple[int, int], held_out: HeldOut, split: Split, label: str
    ) -> Iterator[tuple[Layout, torch.Tensor]]:
        """Yield layouts and embeddings of `n` scenes, in batches."""
        # Each test gets its own scenes.
        first = 10**7 * (1 + 2 * objects[1] + objects[0]) + 10**9 * ("never", "only").index(
            held_out
        )
        for start in track(range(0, n, _CHUNK), description=label, transient=True):
            keys = keys_of(first + np.arange(start, min(start + _CHUNK, n)), split)
            layout = sample_layouts(self.atlas, keys, objects=objects, held_out=held_out)
            yield layout, self.images(layout)


def figure(hits: Sequence[float], scenes: Sequence[int] | None = None) -> dict[str, Any]:
    """Summarise values (0..1 each) by their mean, its 95 % interval, and their number.

    The interval is Wilson's for 0/1 values and the normal one for other shares. If scenes have
    several values, `scenes` gives the scene of each, and whole scenes are resampled (bootstrap).
    """
    n, total = len(hits), float(np.sum(hits))
    share = total / n if n else float("nan")
    if scenes is not None and len(set(hits)) > 1:
        _, low, high, _, _ = interval(hits, groups=scenes)
    elif set(hits) <= {0.0, 1.0}:
        # If all values are equal, each scene counts once.
        n_apart = len(set(scenes)) if scenes is not None else n
        low, high = wilson(share, n_apart)
    else:
        half = 1.96 * float(np.std(hits)) / np.sqrt(n)
        low, high = share - half, share + half
    return {"share": round(share, 4), "n": n, "low": round(low, 4), "high": round(high, 4)}


@dataclass
class Hits:
    """List of values (0..1 each) with their scenes."""

    values: list[float] = field(default_factory=list)
    scenes: list[int] = field(default_factory=list)

    def add(self, scene: int, *values: float) -> None:
        """Add values of one scene."""
        self.values += values
        self.scenes += [scene] * len(values)

    def figure(self) -> dict[str, Any]:
        """Summarise the values; see :func:`figure`."""
        return figure(self.values, self.scenes)


def naming(judge: Judge, n: int, held_out: HeldOut, split: Split) -> dict[str, Any]:
    """Measure single-object top-1 (also per style) and recall@k with two to four objects."""
    single: list[float] = []
    by_style: dict[str, list[float]] = {s: [] for s in judge.atlas.styles}
    for layout, found in judge.scenes(n, (1, 1), held_out, split, "single objects"):
        best = (found @ judge.bank.T).argmax(1).numpy()
        for hit, style in zip(best == layout.concept[:, 0], layout.style[:, 0], strict=True):
            single.append(float(hit))
            by_style[judge.atlas.styles[style]].append(float(hit))
    several = Hits()
    by_number = {"2": Hits(), "3": Hits(), "4": Hits()}
    number = 0
    for layout, found in judge.scenes(n, (2, 4), held_out, split, "several objects"):
        order = (found @ judge.bank.T).argsort(1, descending=True).numpy()
        for ranked, there in zip(order, layout.concept, strict=True):
            named = there[there >= 0]
            hits = np.isin(named, ranked[: len(named)]).astype(float).tolist()
            for into in (several, by_number[str(len(named))]):
                into.add(number, *hits)
            number += 1
    out = {"single object top-1": figure(single), "2-4 objects recall@k": several.figure()}
    out |= {f"single object top-1, {s}": figure(h) for s, h in by_style.items()}
    return out | {f"{k} objects recall@k": h.figure() for k, h in by_number.items()}


def colours(judge: Judge, n: int, split: Split) -> dict[str, Any]:
    """Measure how often the true colour scores above the other seven for the same object."""
    out = {}
    words = [phrase(name, c) for name in judge.atlas.names for c in COLOURS]
    bank = judge.texts(words).unflatten(0, (-1, len(COLOURS)))
    for label, objects in (("alone", (1, 1)), ("among 2-4", (2, 4))):
        hits, before = Hits(), 0
        for layout, found in judge.scenes(n, objects, "never", split, f"colours {label}"):
            rows, slots = np.nonzero((layout.concept >= 0) & (layout.colour >= 0))
            scores = torch.einsum("be,bce->bc", found[rows], bank[layout.concept[rows, slots]])
            right = scores.argmax(1).numpy() == layout.colour[rows, slots]
            for row, hit in zip(rows.tolist(), right.astype(float).tolist(), strict=True):
                hits.add(before + row, hit)
            before += len(layout)
        out[f"colour of 8, object {label}"] = hits.figure()
    return out


def relations(judge: Judge, n: int, split: Split) -> dict[str, Any]:
    """Measure how often the true relation scores above the opposite one; chance is one half."""
    hits: dict[str, list[float]] = {r: [] for r in RELATIONS}
    for layout, found in judge.scenes(n, (2, 2), "never", split, "relations"):
        for row in range(len(layout)):
            (ax, bx), (ay, by) = layout.x[row, :2], layout.y[row, :2]
            relation = relation_of(ax - bx, ay - by)
            if relation < 0:
                continue
            a, b = (phrase(judge.atlas.names[c]) for c in layout.concept[row, :2])
            words = RELATIONS[relation]
            right, wrong = judge.texts([f"{a} {words} {b}", f"{b} {words} {a}"]) @ found[row]
            hits[words].append(float(right > wrong))
    out = {f"relation of two, {r}": figure(h) for r, h in hits.items()}
    return {"relation of two, all": figure([h for hs in hits.values() for h in hs])} | out


def cost(judge: Judge, folder: Path) -> dict[str, float]:
    """Measure the file size (bytes) and the median time of encoding one image (ms, 2 threads)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    image = torch.zeros(1, 3, SIDE, SIDE)
    times = []
    with torch.inference_mode():
        for _ in range(30):
            start = time.perf_counter()
            judge.model.encode_image(image)
            times.append((time.perf_counter() - start) * 1e3)
    torch.set_num_threads(threads)
    size = (folder / "open_clip_model.safetensors").stat().st_size
    return {"bytes": size, "encode ms": round(float(np.median(times)), 1)}


def evaluate(folder: Path = WEIGHTS, n: int = 2000, split: Split = "test") -> dict[str, Any]:
    """Return all results as nested dictionaries of shares with 95 % intervals."""
    judge = Judge(folder)
    return {
        "concepts": len(judge.atlas.names),
        "scenes a question": n,
        "split": split,
        "unseen scenes": naming(judge, n, "never", split)
        | colours(judge, n, split)
        | relations(judge, min(n, 1000), split),
        "object-style pairs never trained on": naming(judge, n, "only", split),
        "cost": cost(judge, folder),
    }


def main(
    folder: Annotated[Path, typer.Option(help="folder in OpenCLIP's format")] = WEIGHTS,
    n: Annotated[int, typer.Option(min=1, help="number of scenes per test")] = 2000,
    split: Annotated[str, typer.Option(help="val or test")] = "test",
    json_file: Annotated[Path | None, typer.Option("--json", help="write the results here")] = None,
) -> None:
    """Print the results of the model card, with 95 % intervals."""
    if split not in ("val", "test"):
        raise OptionError(f"--split {split!r}; known: val, test")
    kind: Split = "val" if split == "val" else "test"
    figures = evaluate(folder, n, kind)
    console = Console()
    for title in ("unseen scenes", "object-style pairs never trained on"):
        table = Table("question", "%", "95 %", "n", title=title)
        for name, f in figures[title].items():
            span = f"{100 * f['low']:.1f} - {100 * f['high']:.1f}"
            table.add_row(name, f"{100 * f['share']:.1f}", span, str(f["n"]))
        console.print(table)
    console.print(f"{figures['concepts']} concepts; {figures['cost']}")
    if json_file:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
