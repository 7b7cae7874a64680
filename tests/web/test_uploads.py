"""Images that visitors send: large, slow, false, damaged, many."""

from __future__ import annotations

import socket
import struct
import time
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from web_site import EXAMPLE, Site, png, serving, wait_until
from whyclip.errors import ImageError
from whyclip.models import ModelView
from whyclip.web.limits import Limits
from whyclip.web.state import Kept
from whyclip.web.uploads import FORMATS, read_upload

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is a large image, and whose pixels are all there, in zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packer, packed = zlib.compressobj(9), b""
    row = bytes(1 + (width + 7) // 8)
    for _ in range(height):
        packed += packer.compress(row)
    packed += packer.flush()
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_an_image_is_kept_and_shown_again(site: Site) -> None:
    answer = site.post("/api/images", png((64, 48)))
    assert answer.status == 200
    assert (answer.json["width"], answer.json["height"]) == (64, 48)
    shown = site.get(f"/api/images/{answer.json['id']}")
    assert shown.headers["content-type"] in ("image/png", "image/jpeg")
    assert Image.open(BytesIO(shown.body)).size == (64, 48)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (SVG, "SVG"),
        (b'<?xml version="1.0"?>' + SVG, "SVG"),
        (HTML, "web page"),
        (b"", "empty"),
        (b"%PDF-1.7", "PNG, JPEG"),
        (png()[:60], "damaged"),
        (bomb(16, 2), "at least"),
    ],
    ids=["svg", "xml", "html", "empty", "pdf", "cut", "narrow"],
)
def test_what_is_no_image_is_refused_in_a_sentence(site: Site, content: bytes, word: str) -> None:
    answer = site.post("/api/images", content)
    assert answer.status == 400
    assert word in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert "BytesIO" not in answer.json["error"]


def test_no_other_decoder_is_run(site: Site) -> None:
    image = Image.new("RGB", (32, 32))
    for kind in ("TIFF", "PPM", "ICO", "EPS", "PDF"):
        assert kind not in FORMATS
        file = BytesIO()
        image.save(file, kind)
        assert site.post("/api/images", file.getvalue()).status == 400


def test_nothing_of_a_file_but_its_pixels_goes_out_again(site: Site) -> None:
    sent = png() + SVG
    shown = site.get(f"/api/images/{site.post('/api/images', sent).json['id']}")
    assert b"script" not in shown.body


def test_a_decompression_bomb_is_refused_by_its_header(site: Site) -> None:
    content = bomb(30_000, 30_000)
    assert len(content) < 200_000
    before = time.monotonic()
    answer = site.post("/api/images", content)
    assert answer.status == 400
    assert "million pixels" in answer.json["error"]
    assert time.monotonic() - before < 5
    # Within Pillow's own limit, but not within ours.
    assert "million pixels" in site.post("/api/images", bomb(7_000, 7_000)).json["error"]


def test_a_bomb_of_text_is_refused() -> None:
    text = zlib.compress(b"a" * 80_000_000, 9)
    body = b"zTXt" + b"Comment\x00\x00" + text
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    plain = png()
    with pytest.raises(ImageError):
        read_upload(plain[:33] + chunk + plain[33:], Limits())


def test_100_megabytes_are_refused_before_they_are_read(site: Site) -> None:
    head = f"POST /api/images HTTP/1.1\nHost: 127.0.0.1:{site.port}\nX-Whyclip: 1\n"
    answer = site.send(f"{head}Content-Length: 100000000\n\n", b"x" * 1000)
    assert b" 413 " in answer.splitlines()[0]
    assert b"larger than 20 MB" in answer


def test_a_large_body_without_a_length_is_cut_off(view: ModelView) -> None:
    with (
        serving(view, Limits(upload_bytes=1_000_000)) as small,
        socket.create_connection(("127.0.0.1", small.port), timeout=30) as raw,
    ):
        head = f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{small.port}\r\nX-Whyclip: 1\r\n"
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        part = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        sent = 0
        try:
            while sent < 100_000_000:
                raw.sendall(part)
                sent += len(part)
        except OSError:
            pass
        assert sent < 20_000_000


def test_a_slow_upload_ends_and_its_place_is_free_again(view: ModelView) -> None:
    with serving(view, Limits(upload_seconds=0.5, uploads=1)) as slow:
        head = f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{slow.port}\r\nX-Whyclip: 1\r\n"
        with socket.create_connection(("127.0.0.1", slow.port), timeout=30) as raw:
            raw.sendall(f"{head}Content-Length: 5000\r\n\r\nabc".encode())
            wait_until(lambda: slow.app.receiving == 1)
            busy = slow.post("/api/images", png())
            assert busy.status == 503
            assert "too many visitors" in busy.json["error"]
            answer = b""
            while part := raw.recv(65536):
                answer += part
        assert b" 408 " in answer.splitlines()[0]
        assert slow.app.receiving == 0
        assert slow.post("/api/images", png()).status == 200


def test_a_connection_that_does_not_ask_is_closed(view: ModelView) -> None:
    with serving(view, Limits(upload_seconds=0.5)) as site:
        silent = socket.create_connection(("127.0.0.1", site.port), timeout=30)
        dripping = socket.create_connection(("127.0.0.1", site.port), timeout=30)
        again = socket.create_connection(("127.0.0.1", site.port), timeout=30)
        with silent, dripping, again:
            dripping.sendall(b"GET / HTTP/1.1\r\nX-A: ")
            again.sendall(f"GET /no HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n\r\n".encode())
            assert b"404" in again.recv(65536)
            again.sendall(b"GET / HTTP/1.1\r\n")
            for raw in (silent, dripping, again):
                while raw.recv(65536):
                    pass
        # A computation that takes longer than that is not cut off.
        request = {"image": EXAMPLE, "prompts": ["a dog"], "methods": ["occlusion"]}
        begun = time.monotonic()
        answer = site.post("/api/explain", {**request, "sides": ["image"]})
        assert "result" in answer.news[-1]
        assert time.monotonic() - begun > 0.5


def test_a_visitor_who_leaves_during_an_upload_frees_the_place(view: ModelView) -> None:
    with serving(view, Limits(uploads=1)) as site:
        head = f"POST /api/images HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nX-Whyclip: 1\r\n"
        with socket.create_connection(("127.0.0.1", site.port), timeout=30) as raw:
            raw.sendall(f"{head}Content-Length: 5000\r\n\r\nabc".encode())
            wait_until(lambda: site.app.receiving == 1)
        wait_until(lambda: site.app.receiving == 0)
        assert site.post("/api/images", png()).status == 200


def test_images_are_kept_within_a_budget_and_a_lost_one_is_named(view: ModelView) -> None:
    noise = np.random.default_rng(0)
    with serving(view, Limits(kept_images=300_000)) as site:
        ids = []
        for _ in range(8):
            pixels = noise.integers(0, 255, (128, 128, 3), dtype=np.uint8)
            file = BytesIO()
            Image.fromarray(pixels).save(file, "PNG")
            ids.append(site.post("/api/images", file.getvalue()).json["id"])
            assert site.app.kept.images.weight <= 300_000
        lost = site.post("/api/explain", {"image": ids[0], "prompts": ["a dog"]})
        assert lost.status == 410
        assert "upload it again" in lost.json["error"]
        assert site.get(f"/api/images/{ids[0]}").status == 410
        assert site.get(f"/api/images/{ids[-1]}").status == 200
        # Examples are not dropped.
        assert site.get(f"/api/images/{EXAMPLE}").status == 200


def test_the_same_file_has_the_same_id(view: ModelView) -> None:
    kept = Kept(view, Limits())
    first, second = kept.add(png()), kept.add(png())
    assert first.id == second.id
    assert len(kept.images) == 1
    assert kept.images.weight == first.weight


def test_a_turned_photograph_is_shown_upright(view: ModelView) -> None:
    image = Image.new("RGB", (40, 20), "blue")
    exif = Image.Exif()
    exif[0x0112] = 6
    file = BytesIO()
    image.save(file, "JPEG", exif=exif)
    upload = Kept(view, Limits()).add(file.getvalue())
    assert upload.size == (20, 40)
    assert Image.open(BytesIO(upload.shown)).size == (20, 40)
