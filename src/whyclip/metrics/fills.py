"""Deletion and insertion by Grad-ECLIP's protocol with other fills, mainly a true background.

Images with black, noisy or blurred pixels are out of distribution. If the scene without its
objects is available, deleted pixels show its background instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from whyclip.metrics.deletion import deletion, deletion_edits
from whyclip.metrics.insertion import insertion, insertion_edits
from whyclip.metrics.metric import Metric, Need
from whyclip.metrics.protocol import GRAD_ECLIP
from whyclip.perturbation.fills import Fill

# ``deletion`` (random colours) and ``insertion`` (black) use the fills of the papers.
PROTOCOL_FILLS: Mapping[str, Fill] = {"deletion": GRAD_ECLIP.fill, "insertion": GRAD_ECLIP.canvas}
_SHOWN: Mapping[Fill, str] = {
    "background": "true background",
    "black": "black",
    "blurred": "blurred",
    "random": "random colours",
}


def with_fill(metric: str, fill: Fill | None) -> str:
    """Name of deletion or insertion with a fill; other metrics keep their name.

    Example:
        >>> with_fill("deletion", "background"), with_fill("insertion", "black")
        ('deletion_background', 'insertion')
        >>> with_fill("iou", "black"), with_fill("deletion", None)
        ('iou', 'deletion')
    """
    if fill is None or PROTOCOL_FILLS.get(metric, fill) == fill:
        return metric
    return f"{metric}_{fill}"


def _declared(metric: str, fill: Fill) -> Metric:
    deletes = metric == "deletion"
    needs: tuple[Need, ...] = ("image", "score", "label")
    return Metric(
        name=with_fill(metric, fill),
        title=f"{metric.capitalize()} ({_SHOWN[fill]})",
        source=GRAD_ECLIP.source + ", with another fill",
        value=deletion if deletes else insertion,
        higher_is_better=not deletes,
        needs=(*needs, "background") if fill == "background" else needs,
        edits=partial(deletion_edits if deletes else insertion_edits, fill=fill),
        readings=("top1", "top5", "top10", "score"),
        curve_points=11,
    )


METRICS = (
    *(_declared("deletion", fill) for fill in ("background", "black", "blurred")),
    *(_declared("insertion", fill) for fill in ("background", "blurred", "random")),
)
