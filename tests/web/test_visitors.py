"""Many visitors at once, visitors who leave, and faults that must not stop the others."""

from __future__ import annotations

import json
import resource
import threading
import time
from typing import Any

import pytest

from web_site import EXAMPLE, Site, serving, wait_until
from whyclip.models import ModelView
from whyclip.web import app as web_app
from whyclip.web.limits import Limits

REQUEST: dict[str, Any] = {"image": EXAMPLE, "prompts": ["a dog"]}
SLOW: dict[str, Any] = {**REQUEST, "methods": ["rise"], "sides": ["image"]}


def block(site: Site) -> threading.Event:
    """Keep the worker busy until the event is set."""
    release = threading.Event()
    started = threading.Event()

    def work() -> None:
        started.set()
        release.wait(60)

    server_loop(site, lambda: site.app.worker.submit(work))
    assert started.wait(30)
    return release


def server_loop(site: Site, call: Any) -> None:
    """Submit from within a running loop, as a route does."""
    import asyncio

    async def run() -> None:
        call()

    asyncio.run(run())


def test_50_visitors_at_once_are_all_answered(view: ModelView) -> None:
    with serving(view) as site:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answers: list[Any] = []

        def visit(number: int) -> None:
            prompts = [f"a dog {number}", "a red car"]
            answers.append((prompts, site.post("/api/explain", {**REQUEST, "prompts": prompts})))

        visitors = [threading.Thread(target=visit, args=[number]) for number in range(50)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join(240)
        assert len(answers) == 50
        for prompts, answer in answers:
            assert answer.status == 200
            [entry] = answer.news[-1]["result"]["entries"]
            assert [item["prompt"] for item in entry["explanation"]["prompts"]] == prompts
        assert site.app.worker.waiting == 0
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 600_000, f"{grown} kB more for 50 visitors"
        assert site.app.kept.passes.weight <= site.app.limits.kept_passes
        assert site.app.kept.runs["image"] == 1


def test_those_who_wait_learn_their_position(view: ModelView) -> None:
    with serving(view) as site:
        release = block(site)
        streams: dict[int, list[dict[str, Any]]] = {}

        def visit(number: int) -> None:
            streams[number] = site.post("/api/explain", REQUEST).news

        visitors = []
        for number in range(3):
            visitors.append(threading.Thread(target=visit, args=[number]))
            visitors[-1].start()
            wait_until(lambda count=number: site.app.worker.waiting == count + 1)
        time.sleep(0.2)
        release.set()
        for visitor in visitors:
            visitor.join(60)
        assert [streams[number][0] for number in range(3)] == [{"queue": n} for n in (1, 2, 3)]
        assert all("result" in news[-1] for news in streams.values())
        positions = [news["queue"] for news in streams[2] if "queue" in news]
        assert positions == sorted(positions, reverse=True)


def test_a_full_queue_turns_visitors_away_in_a_sentence(view: ModelView) -> None:
    with serving(view, Limits(waiting=2)) as site:
        release = block(site)
        waiting = [site.start("/api/explain", REQUEST) for _ in range(2)]
        wait_until(lambda: site.app.worker.waiting == 2)
        answer = site.post("/api/explain", REQUEST)
        assert answer.status == 503
        assert "try again" in answer.json["error"]
        release.set()
        for raw in waiting:
            raw.close()
        wait_until(lambda: site.app.worker.idle)
        assert site.post("/api/explain", REQUEST).status == 200


def test_a_visitor_who_leaves_while_waiting_leaves_the_queue(view: ModelView) -> None:
    with serving(view) as site:
        release = block(site)
        raw = site.start("/api/explain", REQUEST)
        wait_until(lambda: site.app.worker.waiting == 1)
        raw.close()
        wait_until(lambda: site.app.worker.waiting == 0, 10)
        release.set()


def test_a_visitor_who_leaves_stops_the_computation(site: Site) -> None:
    raw = site.start("/api/explain", SLOW)
    content = b""
    while b'"progress"' not in content:
        content += raw.recv(65536)
    raw.close()
    left = time.monotonic()
    # RISE runs the model thousands of times, here for half a minute or more.
    wait_until(lambda: site.app.worker.idle, 20)
    assert time.monotonic() - left < 15
    assert site.post("/api/explain", REQUEST).status == 200


def test_progress_is_told_and_grows(site: Site) -> None:
    news = site.post("/api/explain", {**REQUEST, "methods": ["occlusion"], "sides": ["image"]}).news
    assert "result" in news[-1]
    done = [one["progress"]["done"] / one["progress"]["total"] for one in news if "progress" in one]
    assert done
    assert done == sorted(done)
    assert 0 <= done[0] <= done[-1] <= 1


def test_a_fault_is_a_sentence_without_traces_and_the_next_visitor_is_answered(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError(f"secret of {__file__}")

    for path in ("/api/explain", "/api/table", "/api/download/png", "/api/images"):
        with monkeypatch.context() as patched:
            for name in ("explain", "table", "download"):
                patched.setattr(site.app.answers, name, broken)
            patched.setattr(site.app.kept, "add", broken)
            body: Any = REQUEST
            if path == "/api/images":
                body = b"\x89PNG"
                patched.setattr(web_app.uploads, "check_header", lambda *_: None)
            answer = site.post(path, body)
        assert b"secret" not in answer.body
        assert b"Traceback" not in answer.body
        last = json.loads(answer.body.splitlines()[-1])
        assert last["error"].startswith("internal error in whyclip")
    assert "RuntimeError: secret" in capsys.readouterr().err
    assert "result" in site.post("/api/explain", REQUEST).news[-1]


def test_an_error_of_whyclip_is_its_own_sentence(site: Site) -> None:
    request = {**REQUEST, "methods": ["maskclip"], "sides": ["text"]}
    assert "maskclip" in site.post("/api/explain", request).news[-1]["error"]


def test_a_reader_who_is_slow_takes_no_memory() -> None:
    """Only the latest news of a job waits to be read."""
    import asyncio

    from whyclip.progress import track
    from whyclip.web.worker import Worker

    steps: list[int] = []

    async def run() -> list[dict[str, Any]]:
        worker, reading = Worker(4, str), threading.Event()

        def work() -> int:
            reading.wait(60)
            steps.extend(track(range(10_000), "adding"))
            return sum(steps)

        worker.start()
        job = worker.submit(work)
        news = job.news()
        first = await anext(news)
        assert "result" not in first
        reading.set()
        while not worker.idle:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)  # what the worker told last arrives
        left = [latest async for latest in news]
        worker.stop()
        return left

    left = asyncio.run(run())
    assert len(steps) == 10_000, "each step told its progress"
    assert left == [{"result": sum(range(10_000))}]
