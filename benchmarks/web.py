"""Measure the response times of the web page in a real browser, and the drawing of a map.

    python -m benchmarks.web            prints, writes web.json next to this file and docs/web.md
    python -m benchmarks.web --page     writes docs/web.md from web.json

``mini`` is served on the loopback address to Chromium, with a window of 1280 × 900. Each time is
from the user's action to the painted result, as measured by the page. These times are unreliable
on a busy machine, so the processor time of the server's thread is reported next to its wall-clock
time.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import torch

import whyclip
from benchmarks.page import write
from benchmarks.speed import machine

ROOT = Path(__file__).resolve().parent.parent
RESULT = Path(__file__).with_name("web.json")
PROMPTS = ("a dog", "a red car", "a blue car", "a dog next to a red car")
TIMES = 12


def measure(page: Any, address: str) -> dict[str, list[float]]:
    """Measure the milliseconds of every kind of action, in order of measurement."""
    times: dict[str, list[float]] = {"first answer": [], "changed prompt": [], "other method": []}

    def answer(kind: str, act: Any) -> None:
        before = page.get_attribute("html", "data-answered")
        act()
        other = f':not([data-answered="{before}"])' if before else ""
        page.wait_for_selector(f"html[data-answered]{other}", state="attached")
        times[kind].append(float(page.get_attribute("html", "data-answered")))

    examples = ("four-objects", "two-houses", "wide", "dog-and-red-car")
    for time in range(TIMES):
        page.goto("about:blank")
        # A new prompt each time, so that no result is cached.
        answer(
            "first answer",
            lambda time=time: page.goto(f"{address}#i={examples[time % 4]}&p=a+dog+{time}"),
        )
    for time in range(TIMES):
        prompt = f"{PROMPTS[time % len(PROMPTS)]} {time}"
        answer("changed prompt", lambda prompt=prompt: page.fill("#prompts", prompt))
        page.wait_for_timeout(300)
    for time in range(TIMES):
        method = ("game", "grad_eclip")[time % 2]
        answer("other method", lambda method=method: page.select_option("#method", method))
        page.wait_for_timeout(300)
    for time in range(TIMES):
        for view in ("patches", "contour", "heat"):
            page.check(f"input[name=view][value={view}]")
            drawn = float(page.get_attribute("canvas.heat", "data-drawn"))
            times.setdefault(f"drawing at 720 × 720, {view}", []).append(drawn)
        page.wait_for_timeout(50 * (time % 2))
    return times


def timed(answers: Any) -> tuple[list[float], list[float]]:
    """Record the milliseconds of every explanation in the server's thread."""
    clock: list[float] = []
    processor: list[float] = []
    explain = answers.explain

    def noted(request: Any) -> Any:
        start, used = perf_counter(), thread_time()
        result = explain(request)
        clock.append(1000 * (perf_counter() - start))
        processor.append(1000 * (thread_time() - used))
        return result

    answers.explain = noted
    return clock, processor


def table(record: dict[str, Any]) -> str:
    """Write the times as Markdown, with the load of the machine."""
    rows = [
        f"| {kind} | {times['median']:.0f} | {times['smallest']:.0f} | {times['largest']:.0f} |"
        for kind, times in record["milliseconds"].items()
    ]
    head = ["| milliseconds | median | smallest | largest |", "| --- | ---: | ---: | ---: |"]
    note = (
        f"{record['times each']} times each, on {record['machine']}. The machine was busy with "
        f"other work (load {record['load before']:.0f}), so the clock shows more than the page "
        "needs: compare the server's time by the clock with its processor time."
    )
    quiet = f"{record['times each']} times each, on {record['machine']}."
    return "\n".join([*head, *rows, "", note if record["load before"] > 2 else quiet])


def main() -> int:
    """Measure, print and save."""
    if "--page" in sys.argv:
        record = json.loads(RESULT.read_text(encoding="utf-8"))
        write(ROOT / "docs" / "web.md", {"times": table(record)})
        return 0
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, str(ROOT / "tests"))
    from web_site import serving

    torch.set_num_threads(1)
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = os.environ.get("CHROME") or next(filter(None, map(shutil.which, names)), None)
    before = os.getloadavg()[0]
    with serving(whyclip.load("mini", "cpu")) as site, sync_playwright() as playwright:
        clock, processor = timed(site.app.answers)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        times = measure(page, f"{site.address}/")
        browser.close()
    times["server, by the clock"], times["server, processor"] = clock, processor
    record = {
        "machine": machine(),
        "load before": round(before, 1),
        "times each": TIMES,
        "milliseconds": {
            kind: {
                "median": round(statistics.median(values), 1),
                "smallest": round(min(values), 1),
                "largest": round(max(values), 1),
            }
            for kind, values in times.items()
        },
    }
    RESULT.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1, ensure_ascii=False))
    write(ROOT / "docs" / "web.md", {"times": table(record)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
