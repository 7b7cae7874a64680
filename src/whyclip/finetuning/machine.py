"""The devices and processes of a run, through Hugging Face Accelerate."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from whyclip.errors import OptionError
from whyclip.finetuning.logs import has_board
from whyclip.finetuning.settings import Settings

if TYPE_CHECKING:
    from accelerate import Accelerator


@contextmanager
def machine(settings: Settings, device: torch.device, out: Path) -> Iterator[Accelerator]:
    """Set up devices, mixed precision, distribution and trackers during a run.

    A single process trains on the model's device. Under ``accelerate launch``, each process trains
    on the device that Accelerate assigns to it.

    Args:
        settings: of the run.
        device: where the model is.
        out: folder for TensorBoard's files.

    Raises:
        OptionError: Accelerate is not installed, fp16 without a GPU, or a batch that the
            processes cannot share evenly.
    """
    check_installed()
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    check_precision(settings, device)
    shared = bool(PartialState._shared_state)
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.cuda.device(device))
        accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="no" if settings.precision == "fp32" else settings.precision,
            gradient_accumulation_steps=settings.accumulate,
            log_with="tensorboard" if has_board() else None,
            project_dir=str(out),
        )
        count = accelerator.num_processes
        if settings.batch_size % count:
            raise OptionError(
                f"batch_size={settings.batch_size} cannot be shared by {count} processes; give a "
                f"multiple of {count}"
            )
        try:
            yield accelerator
        finally:
            for tracker in accelerator.trackers:
                tracker.finish()
            if not shared and count == 1:
                # Accelerate's state is process-wide, and there is no public way to choose another
                # precision for a later run.
                AcceleratorState._reset_state(reset_partial_state=True)


def check_precision(settings: Settings, device: torch.device) -> None:
    """Check that a device supports training with the chosen precision.

    Raises:
        OptionError: fp16 without a GPU.
    """
    if settings.precision == "fp16" and device.type == "cpu":
        raise OptionError("precision 'fp16' needs a GPU; on a CPU use 'bf16' or 'fp32'")


def check_installed() -> None:
    """Check that the packages of the extra ``train`` are installed.

    Raises:
        OptionError: Accelerate is not installed.
    """
    try:
        import accelerate  # noqa: F401
    except ImportError:
        raise OptionError(
            "fine-tuning needs Accelerate; install it with pip install 'whyclip[train]'"
        ) from None


def launched_device() -> str | None:
    """Name the GPU of this process under ``accelerate launch``; None elsewhere."""
    rank = os.environ.get("LOCAL_RANK")
    if rank is None or not torch.cuda.is_available():
        return None
    return f"cuda:{rank}"
