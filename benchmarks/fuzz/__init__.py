"""Fuzz tests: any input must give a correct result or a one-line error.

    python -m benchmarks.fuzz --seed 0 --cases 10000 --seconds 900
    python -m benchmarks.fuzz --seed 0 --only 123            repeat one case

A case depends only on the seed and its index.
"""

import sys
from pathlib import Path

# The tests provide the small models and the states of torch.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
