"""Batches by step number: the same for any number of processes, workers and interruptions."""

from __future__ import annotations

import os
import pickle
from functools import partial
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from caption_sources import encoded, number_of, picture, write_csv, write_tars
from whyclip.errors import InputError, OptionError, WhyclipError
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import (
    UNREADABLE,
    Indexed,
    Skipped,
    UnusableError,
    open_captions,
)
from whyclip.finetuning.loader import Loader, WorkerError
from whyclip.finetuning.tar_captions import TarCaptions


class Numbers(Indexed):
    """Examples that are their own number."""

    def __init__(self, count, bad=()):
        self.bad = frozenset(bad)
        super().__init__("numbers", count)

    def read(self, item):
        if item in self.bad:
            raise UnusableError(Skipped(str(item), UNREADABLE))
        return Example(str(item), picture(item), f"number {item}")


def prepare(examples):
    return [number_of(example) for example in examples]


def take(data, size, steps, start=0, **options):
    loader = Loader(data, size, prepare=prepare, **{"seed": 5} | options)
    loader.start_at(start)
    batches = list(islice(loader, steps))
    return batches, loader


@settings(max_examples=40, deadline=None)
@given(
    per=st.integers(1, 4), world=st.integers(1, 3), extra=st.integers(0, 20),
    start=st.integers(0, 9), data=st.data(),
)  # fmt: skip
def test_processes_make_the_batches_of_one(per, world, extra, start, data):
    count = per * world + extra
    numbers = Numbers(count, data.draw(st.sets(st.integers(0, count - 1), max_size=count - 1)))
    alone, loader = take(numbers, per * world, 12)
    shares = [take(numbers, per, 12 - start, start, rank=r, world=world)[0] for r in range(world)]
    for step in range(start, 12):
        mixed = [shares[p % world][step - start][p // world] for p in range(per * world)]
        assert mixed == alone[step]
    # An epoch holds distinct examples where all of them are usable.
    whole = loader.steps_per_epoch
    assert whole == count // (per * world)
    if not numbers.bad:
        seen = [n for batch in alone[:whole] for n in batch]
        assert len(seen) == len(set(seen))


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_make_the_same_batches(workers):
    data = Numbers(23, bad=[2, 3, 19])
    expected, alone = take(data, 4, 14)
    batches, loader = take(data, 4, 14, workers=workers)
    assert batches == expected
    assert loader.step == 14
    # Workers prepare ahead, but only what was used counts.
    assert loader.skipped == alone.skipped == {UNREADABLE: 3}
    assert take(data, 4, 5, 9, workers=workers)[0] == expected[9:]


def test_tars_make_the_same_batches_for_workers_processes_and_interruptions(tmp_path):
    data = TarCaptions(write_tars(tmp_path, 3, 7), buffer=5)
    expected, _ = take(data, 4, 12)
    assert len({n for batch in expected[:5] for n in batch}) == 20
    assert take(data, 4, 5, 7)[0] == expected[7:]
    assert take(data, 4, 12, workers=2)[0] == expected
    shares = [take(data, 2, 12, rank=r, world=2)[0] for r in (0, 1)]
    for step, batch in enumerate(expected):
        assert [shares[p % 2][step][p // 2] for p in range(4)] == batch


def test_resuming_in_tars_reads_one_epoch_and_its_own(tmp_path, monkeypatch):
    data = TarCaptions(write_tars(tmp_path, 3, 7), buffer=5)
    expected, _ = take(data, 4, 60)
    read = []
    order = data.order
    monkeypatch.setattr(data, "order", lambda number, seed: read.append(number) or order(number, 5))
    assert take(data, 4, 6, 54)[0] == expected[54:]
    # 54 steps are ten epochs of five and four more.
    assert read == [0, 10, 11]


def test_damage_in_tars_does_not_move_other_examples(tmp_path):
    pattern = write_tars(tmp_path, 2, 8)
    whole, _ = take(TarCaptions(pattern), 4, 4)
    path = tmp_path / "part-01.tar"
    content = path.read_bytes()
    path.write_bytes(content.replace(b"thing number 11", b"               "))
    damaged, loader = take(TarCaptions(pattern), 4, 4)
    moved = [(a, b) for x, y in zip(whole, damaged, strict=True) for a, b in zip(x, y, strict=True)]
    assert [a for a, b in moved if a != b] == [11]
    assert sum(loader.skipped.values()) == 1


def test_the_training_generator_is_left_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    take(Numbers(10), 2, 3, workers=1)
    assert torch.equal(torch.get_rng_state(), before)


def dies(at, examples):
    if at in prepare(examples):
        os._exit(9)
    return prepare(examples)


def fails(examples):
    raise InputError("the template has no {}")


def test_a_worker_that_dies_is_one_sentence():
    loader = Loader(Numbers(20), 4, seed=0, prepare=partial(dies, 7), workers=2)
    with pytest.raises(WorkerError, match="a data worker stopped.*fewer workers") as caught:
        list(islice(loader, 10))
    assert isinstance(caught.value, WhyclipError)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 320


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_worker_keeps_its_sentence(workers):
    loader = Loader(Numbers(20), 4, seed=0, prepare=fails, workers=workers)
    with pytest.raises(InputError) as caught:
        list(islice(loader, 10))
    assert str(caught.value) == "the template has no {}"


@pytest.mark.parametrize("workers", [0, 2])
def test_data_without_a_usable_example_is_an_error(workers):
    loader = Loader(Numbers(9, bad=range(9)), 4, seed=0, prepare=prepare, workers=workers)
    with pytest.raises(InputError, match="numbers has no usable example"):
        next(iter(loader))


def test_data_smaller_than_a_batch_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"has 7 examples, fewer than one batch of 8 \(4 on each"):
        Loader(Numbers(7), 4, seed=0, prepare=prepare, rank=1, world=2)
    loader = Loader(TarCaptions(write_tars(tmp_path, 1, 3)), 4, seed=0, prepare=prepare)
    with pytest.raises(InputError, match="has 3 examples"):
        next(iter(loader))


@pytest.mark.parametrize("wrong", [{"rank": 1}, {"rank": -1}, {"workers": -1}, {"batch_size": 0}])
def test_numbers_out_of_range_are_refused(wrong):
    options = {"batch_size": 2, "seed": 0, "prepare": prepare} | wrong
    with pytest.raises(OptionError):
        Loader(Numbers(9), **options)
    with pytest.raises(OptionError):
        Loader(Numbers(9), 2, seed=0, prepare=prepare).start_at(-1)


@pytest.mark.parametrize("kind", ["scenes", "csv", "parquet", "hf", "wds"])
def test_data_can_be_sent_to_worker_processes_that_start_afresh(tmp_path, kind):
    specs = {"scenes": lambda: "scenes:5", "csv": lambda: f"csv:{write_csv(tmp_path, 5)}"}
    if kind == "wds":
        specs[kind] = lambda: f"wds:{write_tars(tmp_path, 1, 5)}"
    if kind == "parquet":
        import pandas

        rows = {"image": [encoded(picture(i)) for i in range(5)], "caption": ["a"] * 5}
        pandas.DataFrame(rows).to_parquet(tmp_path / "a.parquet")
        specs[kind] = lambda: f"parquet:{tmp_path / 'a.parquet'}"
    if kind == "hf":
        import datasets

        rows = {"image": [picture(i) for i in range(5)], "caption": ["a"] * 5}
        datasets.Dataset.from_dict(rows).save_to_disk(tmp_path / "set")
        specs[kind] = lambda: f"hf:{tmp_path / 'set'}"
    data = open_captions(specs[kind](), fraction=0.999999)
    copy = pickle.loads(pickle.dumps(data))
    expected = [example.id for example in data.epoch(1, seed=0)]
    assert [example.id for example in copy.epoch(1, seed=0)] == expected
    assert len(expected) == 5
