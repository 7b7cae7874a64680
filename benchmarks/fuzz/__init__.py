"""Fuzzing that stays: whatever goes in, a right result or one clear sentence comes out.

    python -m benchmarks.fuzz --seed 0 --cases 10000 --seconds 900
    python -m benchmarks.fuzz --seed 0 --only 123            one case again

A case is a function of the seed and its index alone.
"""

import sys
from pathlib import Path

# For the small models and the states of torch that the tests use, too.
sys.path.append(str(Path(__file__).resolve().parents[2] / "tests"))
