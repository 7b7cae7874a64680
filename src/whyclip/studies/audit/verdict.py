"""From values to a verdict: pass, fail, or not enough evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from whyclip.metrics import FEWEST, Interval, interval, wilson
from whyclip.studies.audit.check import Values

Verdict = Literal["pass", "fail", "undecided", "not measured"]

RESAMPLES = 2000


def summarise(values: Values, *, share: bool = False, seed: int = 0) -> Interval:
    """Mean of values, or the difference of two means, with its 95 % interval.

    A bootstrap over images; of shares the interval of Wilson 1927, as a bootstrap of values that
    are all the same would be sure of any of them.

    Args:
        values: with NaN where a sample says nothing.
        share: whether they are 1 and 0; of several of one image no more is made than of one.
        seed: of the bootstrap.

    Example:
        >>> str(summarise(Values([1.0] * 60, [str(i) for i in range(60)]), share=True))
        '1 [0.9398, 1], n = 60'
    """
    if values.contrast is not None:
        return _contrast(values, values.contrast, seed)
    if share:
        return _wilson(values)
    return interval(values.values, groups=list(values.groups), resamples=RESAMPLES, seed=seed)


def state(values: Values) -> Interval:
    """Share of samples for which a fact holds; facts are not estimated, so without interval.

    Example:
        >>> state(Values([1.0, 1.0], ["a", "b"])).mean
        1.0
    """
    nan, images = float("nan"), len(set(values.groups))
    return Interval(float(np.mean(values.values)), nan, nan, len(values.values), images)


def judge(found: Interval, threshold: float, *, higher_is_better: bool) -> Verdict:
    """Pass only if the whole interval is on the good side, fail only if it is on the bad one.

    Example:
        >>> judge(Interval(0.5, 0.4, 0.6, 20, 20), 0.3, higher_is_better=True)
        'pass'
        >>> judge(Interval(0.5, 0.4, 0.6, 20, 20), 0.45, higher_is_better=True)
        'undecided'
    """
    if found.n == 0:
        return "not measured"
    if found.groups < FEWEST or np.isnan([found.low, found.high]).any():
        return "undecided"
    good, bad = (found.low, found.high) if higher_is_better else (-found.high, -found.low)
    border = threshold if higher_is_better else -threshold
    if good > border:
        return "pass"
    return "fail" if bad <= border else "undecided"


def _wilson(values: Values) -> Interval:
    pairs = zip(values.values, values.groups, strict=True)
    known = [(value, group) for value, group in pairs if not np.isnan(value)]
    share = float(np.mean([value for value, _ in known])) if known else float("nan")
    images = len({group for _, group in known})
    return Interval(share, *wilson(share, images), len(known), images)


def _contrast(values: Values, contrast: Sequence[bool], seed: int) -> Interval:
    """Difference of the means where ``contrast`` is True and False; whole images are drawn.

    ``groups`` is the number of images on the smaller of the two sides.
    """
    row = np.asarray(values.values, dtype=np.float64)
    there = ~np.isnan(row)
    row, side = row[there], np.asarray(contrast, dtype=bool)[there]
    names = np.asarray(values.groups)[there]
    nan = float("nan")
    if side.all() or not side.any():
        return Interval(nan, nan, nan, 0, 0)
    kinds, group = np.unique(names, return_inverse=True)
    total = len(kinds)
    sums = [np.bincount(group[s], row[s], total) for s in (side, ~side)]
    counts = [np.bincount(group[s], minlength=total).astype(float) for s in (side, ~side)]
    drawn = np.random.default_rng((seed, 4)).integers(0, total, (RESAMPLES, total))
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [s[drawn].sum(1) / c[drawn].sum(1) for s, c in zip(sums, counts, strict=True)]
    apart = means[0] - means[1]
    low, high = np.nanquantile(apart, [0.025, 0.975])
    smaller = int(min((c > 0).sum() for c in counts))
    mean = float(row[side].mean() - row[~side].mean())
    return Interval(mean, float(low), float(high), len(row), smaller)
