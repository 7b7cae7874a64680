"""Find clusters of heat maps that peak in one patch, for example on a watermark.

Spectral relevance analysis (Lapuschkin et al. 2019, Nature Communications 10, 1096): maps are
reduced in size, embedded by the eigenvectors of their nearest-neighbour graph, and clustered by
HDBSCAN. Objects at random positions form such clusters too. A cluster is therefore reported only
if its maps peak in one patch far more often than maps peak in the patches around it.

A badge often gets only a part of the relevance, and the object gets the rest. Such maps are spread
over the clusters of objects. Maps are therefore also grouped by *lone peaks*: cells with at least a
tenth of the relevance whose neighbours have hardly any.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float64]

SIDE = 7
"""Rows and columns of the reduced maps."""
NEIGHBOURS = 10
COMPONENTS = 8
SHARE = 0.04
"""Smallest cluster, as a share of the maps."""
LEAST = 8
"""Smallest cluster, in maps; fewer than four times as many maps are not clustered."""
LARGEST = 0.5
"""Largest cluster that is reported, as a share of the maps; the mean map shows larger ones."""
PLACE = 0
"""Distance in patches from the most frequent peak up to which a peak counts as the same place."""
AROUND = 2
"""Distance in patches up to which other peaks give the expected number."""
AT_PLACE = 0.5
"""Smallest share of a cluster's maps that peak at its place."""
TIMES = 4.5
"""Smallest ratio of the number of peaks at the place to the expected number. Objects of scenes
reach 4.2 by chance, because they lie in rows and columns."""
LONE = 0.1
"""Smallest share of a map's relevance in a lone peak."""
RIM = 0.2
"""Largest mean of the cells around a lone peak, as a share of the peak."""
LEVEL = 1e-3
"""Largest probability of as many peaks by chance, over all clusters of a prompt."""


@dataclass(frozen=True)
class Cluster:
    """Maps that peak at the same place.

    Attributes:
        members: indices of the maps, the most typical first.
        mean: ``[SIDE, SIDE]`` mean of their reduced maps, whose sum is 1.
        place: row and column of the most frequent peak, in patches.
        peaks: number of all maps of the prompt that peak there.
        expected: expected number, from the density of peaks around the place.
    """

    members: tuple[int, ...]
    mean: Floats
    place: tuple[int, int]
    peaks: int
    expected: float


def reduced(maps: NDArray[np.floating], side: int = SIDE) -> Floats:
    """Reduce maps ``[n, gh, gw]`` to the positive relevance in ``side`` × ``side`` cells.

    Returns:
        ``[n, side, side]``; each sums to 1, or is zero if nothing is positive.
    """
    positive = np.maximum(np.asarray(maps, np.float64), 0)
    total = positive.sum((1, 2), keepdims=True)
    shares = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
    small = np.stack(
        [
            np.asarray(
                Image.fromarray(one.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
            )
            for one in shares
        ]
    ).astype(np.float64)
    sums = small.sum((1, 2), keepdims=True)
    return np.divide(small, sums, out=np.zeros_like(small), where=sums > 0)


def find_clusters(maps: NDArray[np.floating], seed: int = 0) -> list[Cluster]:
    """Find places where the maps of a minority of the images peak.

    Args:
        maps: ``[n, gh, gw]`` relevance of one prompt in n images.
        seed: random seed of the eigenvectors' starting point.

    Returns:
        The reported clusters, the largest first; empty for too few maps.
    """
    small = reduced(maps)
    usable = np.flatnonzero(small.sum((1, 2)) > 0)
    least = max(LEAST, round(SHARE * len(usable)))
    if len(usable) < 4 * least:
        return []
    # Square roots, so that the inner product of two maps is their Bhattacharyya coefficient.
    points = np.sqrt(small[usable].reshape(len(usable), -1))
    clusters = _by_groups(maps, small, usable, points, least, seed)
    for cluster in _by_lone_peaks(maps, small, usable, points, least):
        clusters = [other for other in clusters if not set(other.members) & set(cluster.members)]
        clusters.append(cluster)
    return sorted(clusters, key=lambda cluster: -len(cluster.members))


def _by_lone_peaks(
    maps: NDArray[np.floating],
    small: Floats,
    usable: NDArray[np.intp],
    points: Floats,
    least: int,
) -> list[Cluster]:
    """Maps with a lone peak in the same cell."""
    lone = lone_peaks(small[usable])
    rows, columns = np.indices(small.shape[1:])
    images, *cells = lone.nonzero()
    peaks = np.stack(cells, 1)
    clusters = []
    for cell in zip(rows.ravel().tolist(), columns.ravel().tolist(), strict=True):
        members = images[(peaks == np.array(cell)).all(1)]
        if not least <= len(members) <= LARGEST * len(usable):
            continue
        count, expected = peaks_at(peaks, cell, small.shape[1:])
        if count < TIMES * expected or chance(count, expected) * lone[0].size > LEVEL:
            continue
        place = _place_in(np.asarray(maps)[usable[members]], cell, small.shape[1:])
        clusters.append(_cluster(small, usable, points, members, place, count, expected))
    return clusters


def lone_peaks(small: Floats) -> NDArray[np.bool_]:
    """Find the cells of reduced maps ``[n, h, w]`` that stand out alone: bool ``[n, h, w]``."""
    h, w = small.shape[1:]
    padded = np.pad(small, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    shifts = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    around = np.stack([padded[:, y : y + h, x : x + w] for y, x in shifts])
    mean, most = np.nanmean(around, 0), np.nanmax(around, 0)
    lone: NDArray[np.bool_] = (small >= LONE) & (small > most) & (mean <= RIM * small)
    return lone


def _place_in(
    maps: NDArray[np.floating], cell: tuple[int, int], cells: tuple[int, ...]
) -> tuple[int, int]:
    """The patch with most peaks of maps ``[n, gh, gw]`` within a cell."""
    corner = [
        math.floor(at * size / n) for at, size, n in zip(cell, maps.shape[1:], cells, strict=True)
    ]
    end = [
        math.ceil((at + 1) * size / n)
        for at, size, n in zip(cell, maps.shape[1:], cells, strict=True)
    ]
    inside = _peaks(maps[:, corner[0] : end[0], corner[1] : end[1]])
    (row, column), _ = _place(inside)
    return row + corner[0], column + corner[1]


def _by_groups(
    maps: NDArray[np.floating],
    small: Floats,
    usable: NDArray[np.intp],
    points: Floats,
    least: int,
    seed: int,
) -> list[Cluster]:
    """Spectral clusters whose maps peak at one place."""
    alike = np.clip(points @ points.T, 0, 1)
    groups = [g for g in _groups(_embedding(alike, seed), least) if len(g) <= LARGEST * len(usable)]
    peaks = _peaks(np.asarray(maps)[usable])
    grid = (int(maps.shape[1]), int(maps.shape[2]))
    clusters = []
    for group in groups:
        place, share = _place(peaks[group])
        count, expected = peaks_at(peaks, place, grid)
        if share < AT_PLACE or count < TIMES * expected:
            continue
        if chance(count, expected) * len(groups) * grid[0] * grid[1] > LEVEL:
            continue
        # HDBSCAN excludes maps at the edge of a cluster; those with its peak belong to it.
        members = np.union1d(group, np.flatnonzero((peaks == np.array(place)).all(1)))
        clusters.append(_cluster(small, usable, points, members, place, count, expected))
    return clusters


def _cluster(
    small: Floats,
    usable: NDArray[np.intp],
    points: Floats,
    members: NDArray[np.intp],
    place: tuple[int, int],
    count: int,
    expected: float,
) -> Cluster:
    """Describe a cluster, its most typical member first."""
    order = np.argsort(-(points[members] @ points[members].mean(0)), kind="stable")
    chosen = tuple(usable[members[order]].tolist())
    return Cluster(chosen, small[usable[members]].mean(0), place, count, expected)


def _embedding(alike: Floats, seed: int) -> Floats:
    """Eigenvectors of the graph that joins each map to its most similar maps."""
    from sklearn.manifold import spectral_embedding

    n = len(alike)
    nearest = np.argsort(-alike, axis=1, kind="stable")[:, : min(NEIGHBOURS, n - 1) + 1]
    graph = np.zeros_like(alike)
    rows = np.arange(n)[:, None]
    graph[rows, nearest] = alike[rows, nearest]
    graph = np.maximum(graph, graph.T)
    np.fill_diagonal(graph, 0)
    with warnings.catch_warnings():
        # Unconnected parts of the graph are expected: they are the clusters.
        warnings.simplefilter("ignore", UserWarning)
        positions: Floats = spectral_embedding(
            graph, n_components=min(COMPONENTS, n - 2), random_state=seed, drop_first=False
        )
    return positions


def _groups(embedded: Floats, least: int) -> list[NDArray[np.intp]]:
    from sklearn.cluster import HDBSCAN

    labels = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(embedded)
    return [np.flatnonzero(labels == label) for label in range(labels.max() + 1)]


def _peaks(maps: NDArray[np.floating]) -> NDArray[np.intp]:
    """Row and column of each map's maximum: ``[n, 2]``."""
    flat = maps.reshape(len(maps), -1).argmax(1)
    return np.stack(np.unravel_index(flat, maps.shape[1:]), 1)


def _place(peaks: NDArray[np.intp]) -> tuple[tuple[int, int], float]:
    """The patch with most peaks, and its share of the peaks."""
    near = np.abs(peaks[:, None] - peaks[None]).max(-1) <= PLACE
    counts = near.sum(1)
    row, column = peaks[counts.argmax()]
    return (int(row), int(column)), float(counts.max() / len(peaks))


def peaks_at(
    peaks: NDArray[np.intp], place: tuple[int, int], grid: tuple[int, int]
) -> tuple[int, float]:
    """Count peaks at a place, and estimate their number from the peaks around it.

    The estimate is the number of patches of the place times the density of peaks up to ``AROUND``
    patches away, or times the density in the whole grid if that is greater.
    """
    away = np.abs(peaks - np.array(place)).max(-1)
    rows, columns = np.indices(grid)
    cells = np.maximum(np.abs(rows - place[0]), np.abs(columns - place[1]))
    count = int((away <= PLACE).sum())
    around = ((away > PLACE) & (away <= AROUND)).sum()
    around_cells = ((cells > PLACE) & (cells <= AROUND)).sum()
    density = max(around / max(around_cells, 1), (len(peaks) - count) / cells.size)
    return count, float(density * (cells <= PLACE).sum())


def chance(count: int, expected: float) -> float:
    """Probability of at least ``count`` events of a Poisson distribution."""
    term = total = math.exp(-expected)
    for k in range(1, count):
        term *= expected / k
        total += term
    # Close to 1, ``1 - total`` loses all digits, so the tail is summed directly.
    if total < 1 - 1e-6:
        return 1 - total
    term *= expected / max(count, 1)
    tail, k = term, count
    while term > tail * 1e-12 and k < count + 1000:
        k += 1
        term *= expected / k
        tail += term
    return tail
