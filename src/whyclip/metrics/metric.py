"""What a metric is: pure functions, and a declaration of what they need and which way is better."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from whyclip.perturbation.perturbations import Perturbations, Score, stream
from whyclip.types import Side

Need = Literal["mask", "image", "words", "score", "label"]


@dataclass(frozen=True)
class Metric:
    """A metric's name, functions and claims.

    A metric of location has ``needs == ("mask",)`` and ``value(heatmap, mask)``, with float
    heatmaps and bool masks ``[..., H, W]``, gives ``[...]``; NaN where it is not defined.

    A metric of faithfulness asks the model about edited inputs. ``edits(image, heatmap, *, seed)``,
    or ``edits(prompt, words, *, seed)`` on the text side, makes them; ``value(amounts, scores)``
    reads the scores ``[m, ...]`` they got against their ``amounts`` ``[m]`` and gives ``[...]``.

    Attributes:
        higher_is_better: which way is better.
        needs: what is looked at beside the explanation.
        readings: names of :data:`~whyclip.metrics.accuracy.READINGS`, the numbers that the metric's
            source takes from the model's output, first the usual one.
        curve_points: at how many points its curve of scores is drawn; 0 where the amounts are none
            that a curve could run along.
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
        """The first line of the docstring of the function that says what is measured."""
        return (inspect.getdoc(self.value) or "").partition("\n")[0]

    def measure(
        self, *inputs: Any, score: Score[Any], batch_size: int = 64, **options: Any
    ) -> Tensor:
        """Edit one input, ask the model, read the answer.

        Args:
            *inputs: what ``edits`` takes.
            score: from a list of m inputs to ``[m, ...]``.
            batch_size: the greatest m.
            **options: the keywords of ``edits``.

        Raises:
            TypeError: the metric asks the model nothing.
        """
        if self.edits is None:
            raise TypeError(f"metric {self.name!r} needs {self.needs}, no score")
        edits = self.edits(*inputs, **options)
        return self.value(edits.amounts, next(stream([edits], score, batch_size)))
