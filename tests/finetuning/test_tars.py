"""Webdataset tars: what is read, damaged tars, and the order."""

from __future__ import annotations

import gzip
import json
import shutil
import sys
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from caption_sources import add, encoded, mask, number_of, picture, write_tars
from whyclip.errors import InputError
from whyclip.finetuning import captions as kinds
from whyclip.finetuning.batch import Example
from whyclip.finetuning.captions import Skipped, open_captions
from whyclip.finetuning.tar_captions import TarCaptions


def epoch(data, number=0, **share):
    got = list(data.epoch(number, seed=3, **share))
    return (
        [x for x in got if isinstance(x, Example)],
        [x for x in got if isinstance(x, Skipped)],
    )


def numbers(data, number=0, **share):
    return [number_of(x) for x in epoch(data, number, **share)[0]]


def test_every_sample_comes_once_in_an_order_of_its_epoch(tmp_path):
    data = open_captions(f"wds:{write_tars(tmp_path, 3, 7)}")
    first = numbers(data)
    assert sorted(first) == list(range(21))
    assert first != sorted(first)
    assert numbers(data) == first
    assert numbers(data, 1) != first
    assert all(x.caption == f"thing number {number_of(x)}" for x in epoch(data)[0])
    assert data.length is None
    with pytest.raises(TypeError):
        len(data)


@pytest.mark.parametrize("buffer", [1, 4, 1000])
@pytest.mark.parametrize("world", [2, 3])
def test_processes_share_tars_without_overlap(tmp_path, buffer, world):
    data = TarCaptions(write_tars(tmp_path, 3, 7), buffer=buffer)
    alone = numbers(data)
    assert sorted(alone) == list(range(21))
    shares = [numbers(data, rank=rank, world=world) for rank in range(world)]
    assert [shares[p % world][p // world] for p in range(21)] == alone


def test_fraction_of_tars_is_the_same_share_in_every_epoch(tmp_path):
    pattern = write_tars(tmp_path, 4, 25)
    half = open_captions(f"wds:{pattern}", fraction=0.5, seed=1)
    chosen = sorted(numbers(half))
    assert sorted(numbers(half, 1)) == chosen
    assert 30 < len(chosen) < 70
    # The choice does not depend on the folder or on the other tars.
    one = open_captions(f"wds:{tmp_path}/part-01.tar", fraction=0.5, seed=1)
    assert sorted(numbers(one)) == [n for n in chosen if 25 <= n < 50]


def test_kinds_of_images_captions_and_masks(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "x/1.PNG", encoded(picture(1)))
        add(tar, "x/1.json", json.dumps({"caption": "one"}).encode())
        add(tar, "x/1.mask.png", encoded(mask()))
        add(tar, "x/2.png", encoded(picture(2)))
        add(tar, "x/2.txt", "zwei Äpfel\n".encode())
        add(tar, "x/2.json", b"{}")
        add(tar, "x/3.png", encoded(picture(3)))
        add(tar, "x/4.txt", b"four")
        add(tar, "x/5.png", encoded(picture(5)))
        add(tar, "x/5.txt", b" \n")
        add(tar, "x/6.png", encoded(picture(6)))
        add(tar, "x/6.json", b"[1, 2")
        add(tar, "x/7.jpg", encoded(picture(7))[:50])
        add(tar, "x/7.txt", b"seven")
        add(tar, "x/8.png", encoded(picture(8)))
        add(tar, "x/8.txt", b"eight")
        add(tar, "x/8.mask.png", encoded(mask(7, 7)))
        add(tar, "x/9.png", encoded(picture(9)))
        add(tar, "x/9.json", b'{"text": "half \\ud800 pair"}')
    data = open_captions(str(tmp_path / "a.tar"))
    good, bad = epoch(data)
    read = {x.id: x for x in good}
    assert {id: x.caption for id, x in read.items()} == {
        "a.tar:x/1": "one",
        "a.tar:x/2": "zwei Äpfel",
        "a.tar:x/9": "half ? pair",
    }
    assert np.array_equal(read["a.tar:x/1"].hidden, np.asarray(mask()) > 0)
    assert {x.id[-1]: x.reason for x in bad} == {
        "3": kinds.NO_CAPTION, "4": kinds.NO_IMAGE, "5": kinds.EMPTY_CAPTION,
        "6": kinds.EMPTY_CAPTION, "7": kinds.UNREADABLE, "8": kinds.BAD_MASK,
    }  # fmt: skip


def cut(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])


@pytest.mark.parametrize("at", [5, 511, 512, 700, 1024, 1100, 5000, 5120, 5200, 6000, 6144])
def test_a_tar_cut_anywhere_is_counted_and_the_rest_is_read(tmp_path, at):
    pattern = write_tars(tmp_path, 2, 7)
    cut(tmp_path / "part-00.tar", at)
    good, bad = epoch(open_captions(f"wds:{pattern}"))
    assert {number_of(x) for x in good} >= set(range(7, 14))
    assert all(x.caption == f"thing number {number_of(x)}" for x in good)
    assert [x.reason for x in bad if x.id.endswith("part-00.tar")] == [kinds.CUT_TAR]
    # A sample takes 2,048 bytes: all that are whole before the cut are read.
    whole = {number_of(x) for x in good} & set(range(7))
    assert whole == set(range(at // 2048)) or whole == set(range((at + 1024) // 2048))


def test_a_compressed_tar_and_garbage(tmp_path):
    write_tars(tmp_path, 1, 4)
    plain = (tmp_path / "part-00.tar").read_bytes()
    (tmp_path / "good.tar.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "cut.tar.gz").write_bytes(gzip.compress(plain)[:-40])
    (tmp_path / "none.tar").write_bytes(b"this is no tar" * 100)
    assert sorted(numbers(open_captions(str(tmp_path / "good.tar.gz")))) == [0, 1, 2, 3]
    assert kinds.CUT_TAR in {
        x.reason for x in epoch(open_captions(f"wds:{tmp_path}/{{cut.tar.gz,part-00.tar}}"))[1]
    }
    with pytest.raises(InputError, match=r"no usable example.*none\.tar"):
        epoch(open_captions(str(tmp_path / "none.tar")))


def test_an_empty_tar_has_no_usable_example(tmp_path):
    tarfile.open(tmp_path / "empty.tar", "w").close()
    with pytest.raises(InputError, match="no usable example"):
        epoch(open_captions(str(tmp_path / "empty.tar")))


@pytest.mark.parametrize(
    "pattern",
    ["pipe:touch hacked", "https://host/a'; touch hacked; '.tar", "ftp://host/a.tar",
     "file:///etc/a.tar", "gone.tar", "https://host/$(touch hacked).tar", "s3://b/`x`.tar"],
)  # fmt: skip
def test_names_that_would_run_commands_or_are_missing_are_refused(pattern, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        open_captions(f"wds:{pattern}")
    assert not list(tmp_path.iterdir())


def test_addresses_are_read_through_the_library(tmp_path, monkeypatch):
    write_tars(tmp_path, 2, 3)
    opened = []

    def gopen(address):
        opened.append(address)
        if address.endswith("part-01.tar"):
            raise OSError("host is down")
        return (tmp_path / address.rpartition("/")[2]).open("rb")

    monkeypatch.setattr(sys.modules["webdataset.gopen"], "gopen", gopen)
    data = open_captions("wds:https://host/data/part-{00..01}.tar")
    good, bad = epoch(data)
    assert sorted(map(number_of, good)) == [0, 1, 2]
    assert len(opened) == 2
    assert [(x.reason, x.detail) for x in bad] == [(kinds.CUT_TAR, "host is down")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the library reads addresses with curl")
def test_tars_of_a_web_server_and_one_that_is_gone(tmp_path):
    write_tars(tmp_path, 2, 3)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        good, bad = epoch(open_captions(f"wds:{address}/part-{{00..02}}.tar"))
        server.shutdown()
    assert sorted(map(number_of, good)) == [0, 1, 2, 3, 4, 5]
    assert [(x.id[-11:], x.reason) for x in bad] == [("part-02.tar", kinds.CUT_TAR)]
