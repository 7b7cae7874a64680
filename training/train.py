"""Train the embedded model from scratch in five stages, with one resumable command.

    python -m training.train --out runs/mini

Stage 1 uses single objects as 4 x 4 patches. Stage 2 uses scenes of one to four objects without
most of the background. Stage 3 adds colours: every object of a scene is encoded alone, and the
scene's embedding is the sum over its objects. Stage 4 uses scenes with more background, and stage 5
whole scenes. Every stage draws new scenes of the train split.
The loss is contrastive over captions whose truth is known for every image. Each image is compared
with a phrase for every concept and all captions of the batch, and each true caption with all
images. From stage 2, every object is also classified alone, with the last attention restricted to
its patches. From stage 3, every object's colour is contrasted with those of the others.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import torch.distributed as dist
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from torch.func import functional_call
from torch.multiprocessing.spawn import spawn
from torch.nn.attention import SDPBackend, sdpa_kernel

from training import checkpoints
from training.batches import Batch, Batches, all_words
from training.export import export
from training.losses import colour_loss, colour_scores, matching_loss, naming_loss
from training.model import Towers, Vocabulary, build
from training.optimisers import Optimisers
from training.stages import STAGES, Stage
from whyclip.errors import OptionError, OutputError
from whyclip.scenes.sprites import load_atlas

PICTURES = tuple(stage.pictures for stage in STAGES.values())
AVERAGE = 0.998


@dataclass
class Schedule:
    """Training schedule: images per stage, batch size, peak learning rate, share of the decay."""

    pictures: tuple[int, ...] = PICTURES
    batch: int = 256
    rate: float = 2.0e-3
    warm: int = 200
    decay: float = 0.44

    def at(self, seen: int) -> tuple[Stage, float, float]:
        """Return the stage, its progress 0..1 and the learning-rate factor after `seen` images."""
        total, before = sum(self.pictures), 0
        left = (total - seen) / (self.decay * total)
        warm = (seen / self.batch + 1) / self.warm
        factor = max(min(warm, left, 1.0), 0.0)
        for stage, count in zip(STAGES.values(), self.pictures, strict=True):
            if seen < before + count:
                return stage, (seen - before) / count, factor
            before += count
        return stage, 1.0, factor


def step_loss(towers: Towers, batch: Batch, half: bool, binding: float) -> torch.Tensor:
    """Compute the loss of one batch, in bfloat16 with float32 weights if `half`.

    `binding` is the weight of the colour loss.
    """
    kind = torch.bfloat16 if half else torch.float32
    weights = {name: p.to(kind) for name, p in towers.named_parameters()}
    groups = [group._replace(patches=group.patches.to(kind)) for group in batch.groups]
    most = max(group.places.shape[1] for group in groups)
    # On the CPU, the fused kernel's backward pass is slower for short sequences.
    plain = most < 100 and batch.tokens.device.type == "cpu"
    backend = SDPBackend.MATH if plain else SDPBackend.FLASH_ATTENTION
    with sdpa_kernel([backend, SDPBackend.MATH]):
        out = functional_call(towers, weights, (groups, batch.tokens))
    images, objects, texts, scale = out
    loss = matching_loss(images, texts, scale, batch.pictures, batch.bank)
    if batch.objects is not None:
        loss = loss + naming_loss(objects, texts, scale, batch.objects, batch.bank)
    if batch.rivals is not None:
        loss = loss + binding * colour_loss(images, texts, scale, batch.rivals)
    return loss


@torch.no_grad()
def quick_score(images: torch.Tensor, texts: torch.Tensor, batch: Batch) -> dict[str, float]:
    """Compute recall on a batch, to monitor progress.

    The values are for concepts, for concepts of images with one object, and for colours of
    objects next to one of another colour.
    """
    best = (images @ texts[: batch.bank].T).argsort(1, descending=True)
    true = batch.pictures.true[:, : batch.bank]
    number = true.sum(1)
    hits = torch.stack([true[i, best[i, :n]].float().mean() for i, n in enumerate(number)])
    shares = {"found": hits, "single": hits[number == 1]}
    if batch.rivals is not None:
        shares["colour"] = (colour_scores(images, texts, batch.rivals).argmax(1) == 0).float()
    return {name: round(float(values.mean()), 4) for name, values in shares.items() if len(values)}


def train(  # noqa: PLR0915 - one loop, read from top to bottom
    rank: int,
    out: Path,
    schedule: Schedule,
    workers: int,
    threads: int,
    seed: int,
    save_every: int,
    keep: Collection[int] = (),
) -> None:
    """Train to the end of the schedule, from the last checkpoint in `out` if there is one.

    After each step in `keep`, the weights are also exported as ``weights-STEP``.
    """
    if workers > 1:
        meeting = f"file://{(out / 'meeting').resolve()}"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=workers)
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    atlas = load_atlas()
    vocabulary = Vocabulary(all_words(atlas))
    device = torch.device("cuda" if workers == 1 and torch.cuda.is_available() else "cpu")
    batches = Batches(atlas, vocabulary, schedule.batch // workers, device)
    towers = Towers(build(len(vocabulary.ids))).to(device)
    tools = Optimisers(towers, schedule.rate, rank, workers)
    average = {n: p.detach().clone() for n, p in towers.named_parameters()}
    step, spent = 0, 0.0
    saved = checkpoints.load(out, rank, device)
    if saved is not None:
        state, momentum = saved
        towers.load_state_dict(state["towers"])
        average, step, spent = state["average"], state["step"], state["seconds"]
        for tool, own in zip(tools.tools, momentum, strict=True):
            tool.load_state_dict(own)
    if rank == 0:
        checkpoints.trim_log(out, step)
    checkpoint = out / checkpoints.CHECKPOINT
    total = sum(schedule.pictures)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=rank > 0) as progress:
        task = progress.add_task("training", total=total, completed=step * schedule.batch)
        last = time.monotonic()
        while step * schedule.batch < total:
            if rank == 0 and step in keep:
                # Done here, so that a run that stopped between checkpoint and export still exports.
                export(checkpoint, out / f"weights-{step}")
            stage, done, factor = schedule.at(step * schedule.batch)
            batch = batches.make(step * workers + rank, stage, done)
            loss = step_loss(towers, batch, True, stage.weight(done))
            loss.backward()
            tools.step(schedule.rate * factor)
            slow = min(AVERAGE, (step + 1) / (step + 20))
            with torch.no_grad():
                for name, p in towers.named_parameters():
                    average[name].lerp_(p, 1 - slow)
            step += 1
            now = time.monotonic()
            spent, last = spent + now - last, now
            progress.update(
                task, completed=step * schedule.batch, description=f"{stage.name} {loss:.2f}"
            )
            if rank == 0 and step % 20 == 0:
                line = {"step": step, "stage": stage.name, "loss": round(loss.item(), 4)}
                line |= {"pictures": step * schedule.batch, "seconds": round(spent)}
                line |= {"rate": round(factor, 3), "spread": round(stage.spread(done), 3)}
                if step % 100 == 0:
                    with torch.no_grad():
                        # Score the averaged weights on the next batch, which is not trained on yet.
                        fresh = batches.make((step + 1) * workers, stage, done)
                        i, _, t, _ = functional_call(towers, average, (fresh.groups, fresh.tokens))
                        line |= quick_score(i, t, fresh)
                checkpoints.log_line(out, line)
            if step % save_every == 0 or step in keep or step * schedule.batch >= total:
                momentum = [tool.state_dict() for tool in tools.tools]
                state = {"towers": towers.state_dict(), "average": average, "seconds": spent}
                checkpoints.save(out, rank, workers, step, momentum, state)
    if rank == 0:
        export(checkpoint, out / "weights")


def _over(out: Path, keep: Collection[int]) -> list[int]:
    """Steps that cannot be kept because the run is already past them."""
    reached = checkpoints.step_of(out) if keep else 0
    return [s for s in sorted(keep) if s < reached and not (out / f"weights-{s}").is_dir()]


def main(
    out: Annotated[Path, typer.Option(help="folder of checkpoint, log and final weights")],
    pictures: Annotated[str, typer.Option(help="images of stage 1,2,3,4,5")] = ",".join(
        map(str, PICTURES)
    ),
    batch: Annotated[int, typer.Option(help="images per step")] = 256,
    rate: Annotated[float, typer.Option(help="peak learning rate")] = 2e-3,
    workers: Annotated[
        int,
        typer.Option(
            help="processes that share each step; each writes captions for its own images, so the "
            "number changes the result; 1 uses the GPU, if any"
        ),
    ] = 2,
    threads: Annotated[int, typer.Option(help="CPU threads per process")] = 1,
    seed: Annotated[int, typer.Option(help="seed of the initial weights")] = 0,
    save_every: Annotated[int, typer.Option(help="steps between checkpoints")] = 100,
    keep: Annotated[
        str, typer.Option(help="steps at which to export the weights too, e.g. 500,1000")
    ] = "",
) -> None:
    """Train mini; run the same command again to resume an interrupted run."""
    try:
        counts = [int(p) for p in pictures.split(",")]
    except ValueError:
        counts = []
    try:
        kept = frozenset(int(step) for step in keep.split(",") if step)
    except ValueError:
        raise OptionError(f"--keep takes steps, e.g. 500,1000: {keep!r}") from None
    if len(counts) != len(STAGES) or min(counts) < 0:
        raise OptionError(
            f"--pictures takes five numbers, e.g. 250000,100000,20000,50000,5000: {pictures!r}"
        )
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is not a folder")
    schedule = Schedule(tuple(counts), batch, rate)
    last = -(-sum(counts) // batch)
    if not all(0 < step < last for step in kept):
        raise OptionError(f"--keep {keep!r}: give steps from 1 to {last - 1}")
    if over := _over(out, kept):
        raise OptionError(f"--keep {over[0]}: the run in {str(out)!r} is already past that step")
    out.mkdir(parents=True, exist_ok=True)
    (out / "meeting").unlink(missing_ok=True)
    given = {"plan": asdict(schedule), "workers": workers, "seed": seed}
    checkpoints.log_plan(out, given, checkpoints.step_of(out))
    arguments = (out, schedule, workers, threads, seed, save_every, kept)
    if workers == 1:
        train(0, *arguments)
    else:
        spawn(train, args=arguments, nprocs=workers)


if __name__ == "__main__":
    typer.run(main)
