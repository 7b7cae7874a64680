"""The type of a metric: pure functions with their required inputs and direction."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from whyclip.perturbation.perturbations import Perturbations, Score, stream
from whyclip.types import Side

Need = Literal["mask", "image", "words", "score", "label", "background"]


@dataclass(frozen=True)
class Metric:
    """Name, functions and properties of a metric.

    A localisation metric has ``needs == ("mask",)``. ``value(heatmap, mask)``, with float heatmaps
    and bool masks ``[..., H, W]``, returns ``[...]``; NaN where it is undefined.

    A faithfulness metric scores edited inputs. ``edits(image, heatmap, *, seed)`` makes
    them, or ``edits(prompt, words, *, seed)`` for text. ``value(amounts, scores)`` computes
    ``[...]`` from their scores ``[m, ...]`` and ``amounts`` ``[m]``. If it needs the
    ``"background"``, ``edits`` also gets ``background=``, the image without its objects.

    Attributes:
        higher_is_better: whether higher values are better.
        needs: inputs besides the explanation.
        readings: names of :data:`~whyclip.metrics.accuracy.READINGS`: numbers that the metric's
            source computes from the model's output, default first.
        curve_points: number of points of its curve of scores; 0 if there is no curve.
    """

    name: str
    title: str
    source: str
    value: Callable[..., Tensor]
    higher_is_better: bool
    needs: tuple[Need, ...]
    edits: Callable[..., Perturbations[Any]] | None = None
    readings: tuple[str, ...] = ()
    side: Side = "image"
    curve_points: int = 0

    @property
    def summary(self) -> str:
        """First line of the docstring of ``value``."""
        return (inspect.getdoc(self.value) or "").partition("\n")[0]

    def measure(
        self, *inputs: Any, score: Score[Any], batch_size: int = 64, **options: Any
    ) -> Tensor:
        """Edit one input, score the edits, and compute the value.

        Args:
            *inputs: arguments of ``edits``.
            score: function from a list of m inputs to ``[m, ...]``.
            batch_size: largest m.
            **options: keyword arguments of ``edits``.

        Raises:
            TypeError: the metric does not use scores.
        """
        if self.edits is None:
            raise TypeError(f"metric {self.name!r} needs {self.needs}, not a score")
        edits = self.edits(*inputs, **options)
        return self.value(edits.amounts, next(stream([edits], score, batch_size)))
