"""Run the tests of models and methods with the previous and current major library versions.

    python -m benchmarks.matrix                      tests of inputs, models and methods
    python -m benchmarks.matrix tests/models         only these tests

Each pair of versions gets its own environment, which takes all other packages (including torch)
from the current one. The result is written to matrix.json next to this file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
from datetime import date
from itertools import product
from pathlib import Path

from benchmarks.outcome import run

RESULT = Path(__file__).with_name("matrix.json")
OPENCLIP = ("open_clip_torch>=2,<3", "open_clip_torch>=3,<4")
TRANSFORMERS = ("transformers>=4,<5", "transformers>=5,<6")
TESTS = ("tests/inputs", "tests/models", "tests/methods")
READ_VERSIONS = """
import importlib.metadata as m, json, platform
names = ("open_clip_torch", "transformers", "timm", "torch")
print(json.dumps({"python": platform.python_version(), **{n: m.version(n) for n in names}}))
"""


def environment(folder: Path, requirements: tuple[str, ...]) -> Path:
    """Create an environment with these requirements over the current one; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    paths = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    below = Path(paths.stdout.strip()) / "below.pth"
    below.write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "-q", *requirements], check=True)
    return python


def versions(python: Path) -> dict[str, str]:
    """Read the versions in an environment."""
    read = subprocess.run([python, "-c", READ_VERSIONS], check=True, capture_output=True, text=True)
    return json.loads(read.stdout)


def main() -> int:
    """Run every pair of versions and save the result; exit with 1 if a test failed."""
    tests = sys.argv[1:] or list(TESTS)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for index, pair in enumerate(product(OPENCLIP, TRANSFORMERS)):
            print(" with ".join(pair), flush=True)
            python = environment(Path(folder) / str(index), pair)
            results.append({**versions(python), **run(python, tests)})
            record = {"date": date.today().isoformat(), "tests": tests, "runs": results}
            RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 1 if any(result["failed"] for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
