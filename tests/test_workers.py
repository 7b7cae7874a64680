"""The death of a worker of a DataLoader is the same error, whatever broke first."""

from __future__ import annotations

import concurrent.futures
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import active_children
from types import SimpleNamespace
from typing import Any, cast

import pytest
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

import small_runs
from whyclip import workers
from whyclip.bulk.decode import Decoder, Ready, Task, decoded
from whyclip.errors import InputError
from whyclip.finetuning.loader import Loader, WorkerError
from whyclip.studies.experiments.shortcut_study import run_study
from whyclip.workers import death_behind, deaths_as, from_workers, is_death

# Each was seen, or is what the standard library raises, when a process is killed while its
# memory is fetched.
BROKEN = [
    ConnectionResetError(104, "Connection reset by peer"),
    ConnectionRefusedError(111, "Connection refused"),
    FileNotFoundError(2, "No such file or directory"),
    BrokenPipeError(32, "Broken pipe"),
    EOFError(),
    RuntimeError("received 0 items of ancillary data"),
]


def kind(error: Exception) -> str:
    return type(error).__name__


class Lost:
    """What a worker sends; reading it fails, and then kills the worker or does not."""

    def __init__(self, error: Exception, kill: bool) -> None:
        self.error, self.kill = error, kill

    def __reduce__(self) -> Any:
        return fetch, (self.error, os.getpid() if self.kill else 0)


def fetch(error: Exception, pid: int) -> None:
    assert get_worker_info() is None, "read in the main process"
    if pid:
        # The connection breaks first: the process can be seen to have died only after that.
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
    raise error


class Sending(IterableDataset[Any]):
    def __init__(self, error: Exception, kill: bool) -> None:
        self.error, self.kill = error, kill

    def __iter__(self) -> Iterator[Any]:
        yield 1
        while True:
            yield Lost(self.error, self.kill)


def losing(error: Exception, kill: bool) -> DataLoader[Any]:
    return DataLoader(Sending(error, kill), batch_size=None, num_workers=2, collate_fn=as_it_is)


def as_it_is(item: Any) -> Any:
    return item


@pytest.mark.parametrize("error", BROKEN, ids=kind)
def test_a_connection_to_a_dead_worker_that_breaks_is_a_death(error: Exception) -> None:
    batches = from_workers(losing(error, kill=True))
    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid") as caught:
        list(batches)
    assert is_death(caught.value)
    assert not active_children(), "the other worker is let go"


@pytest.mark.parametrize("error", BROKEN, ids=kind)
def test_the_same_error_while_all_workers_live_stays_as_it_is(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "_SECONDS_TO_DIE", 0.1)
    batches = from_workers(losing(error, kill=False))
    with pytest.raises(type(error)) as caught:
        list(batches)
    assert str(caught.value) == str(error)


class Raising(Sending):
    def __iter__(self) -> Iterator[Any]:
        raise self.error


@pytest.mark.parametrize("error", BROKEN, ids=kind)
def test_an_error_of_the_users_code_in_a_worker_is_no_death(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "wait", lambda *_: pytest.fail("it waits for nothing"))
    source = Raising(type(error)("the user's server is down"), kill=False)
    loader = DataLoader(source, batch_size=None, num_workers=1)
    with pytest.raises(type(error), match="the user's server is down") as caught:
        next(from_workers(loader))
    assert not is_death(caught.value)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Caught RuntimeError in DataLoader worker process 0.\nDataLoader worker (pid 1)"),
     RuntimeError("CUDA error"), OSError("DataLoader worker (pid 1) is killed by signal")],
)  # fmt: skip
def test_other_errors_are_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)) as caught, deaths_as(InputError):
        raise error
    assert caught.value is error


def sent(error: Exception, _: Any) -> Lost:
    return Lost(error, kill=True)


@pytest.mark.parametrize("error", BROKEN, ids=kind)
def test_batches_of_a_dead_worker_of_finetuning(error: Exception) -> None:
    loader = Loader(small_runs.Noise(), 4, seed=0, prepare=partial(sent, error), workers=1)
    with pytest.raises(WorkerError, match="a data worker stopped .*fewer workers") as caught:
        next(iter(loader))
    assert "\n" not in str(caught.value)


class LosingDecoder(Decoder):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getitem__(self, task: Task) -> tuple[Task, list[Ready]]:
        return task, [cast(Ready, Lost(self.error, kill=True))]


@pytest.mark.parametrize("error", BROKEN, ids=kind)
def test_batches_of_a_dead_process_of_bulk(error: Exception) -> None:
    with pytest.raises(InputError, match="a decoding process died .*the same call resumes"):
        list(decoded(LosingDecoder(error), [Task(0, 1, ())], 1))


def test_a_death_while_the_model_computes_is_the_same_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The signal of a dead process interrupts whatever this process does."""
    from whyclip.bulk import engine

    def interrupted(*_: Any) -> Any:
        raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")

    job = SimpleNamespace(
        decoder=None, workers=1, source=SimpleNamespace(length=None), explain=interrupted
    )
    monkeypatch.setattr(engine, "_tasks", lambda *_: [])
    monkeypatch.setattr(engine, "decoded", lambda *_: [(Task(0, 1, ()), [])])
    with pytest.raises(InputError, match=r"a decoding process died \(DataLoader worker"):
        engine.run_job(cast(Any, job), engine.Share(0, 1), print, engine.answers_here)


class Broken:
    """A pool whose process was killed."""

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> Broken:
        return self

    def __exit__(self, *_: object) -> None: ...

    def map(self, *_: Any) -> Iterator[Any]:
        raise BrokenProcessPool("terminated abruptly")


def test_a_seed_whose_process_dies_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Broken)
    plan = cast(Any, SimpleNamespace(seeds=(0, 1)))
    with pytest.raises(WorkerError, match="one of 2 processes died.*use fewer processes"):
        run_study(plan, 2)


def test_a_death_is_found_behind_the_error_of_a_half_written_file() -> None:
    try:
        try:
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. ")
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos")
    except RuntimeError as error:
        death = death_behind(error)
    assert "pid 7" in str(death)
    assert death_behind(RuntimeError("no space left on device")) is None
