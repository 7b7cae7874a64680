"""Convert the decoded images of a task into rows: the batch function of every engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from whyclip.bulk.decode import Ready, Task
from whyclip.bulk.request import Explainer
from whyclip.bulk.schema import MapType, schema, to_table


@dataclass(frozen=True)
class Answer:
    """The rows of one task.

    Attributes:
        task: the task, without its items.
        rows: one for each image and prompt, and one for each image with an error.
        images: number of images.
        errors: number of images with an error among them.
    """

    task: Task
    rows: pa.Table
    images: int
    errors: int


@dataclass(frozen=True)
class Explain:
    """Explain the images of one task.

    Attributes:
        explainer: the model with the request.
        map_type: number type of the maps.
    """

    explainer: Explainer
    map_type: MapType

    def __call__(self, task: Task, ready: Sequence[Ready]) -> Answer:
        """Explain the images and convert the explanations into rows.

        Raises:
            ModelError: the model's scores cannot be explained.
        """
        explained = self.explainer.explain(ready)
        columns = schema(self.explainer.grid, self.map_type)
        return Answer(
            task,
            to_table(explained, columns, self.map_type),
            images=len(explained),
            errors=sum(image.explanation is None for image in explained),
        )
