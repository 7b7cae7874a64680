"""Fuzzing that stays: whatever goes in, a right result or one clear sentence comes out.

    python -m benchmarks.fuzz --seed 0 --cases 10000 --seconds 900
    python -m benchmarks.fuzz --seed 0 --only 123            one case again

A case is a function of the seed and its index alone.
"""
