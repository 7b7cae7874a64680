"""whyclip: why did this image match this text?

.. code-block:: python

    import whyclip
    model = whyclip.load("mini")
    ex = whyclip.explain(model, "scene.png", ["a dog", "a red car"])
    ex.show()

The command line does the same: ``whyclip --help``.
"""

import importlib
import typing

from whyclip import errors
from whyclip._version import __version__ as __version__
from whyclip.types import Box, Geometry, Point, Word

if typing.TYPE_CHECKING:
    from whyclip import methods
    from whyclip.api import compare, explain
    from whyclip.attention_heads import Heads, HeadTexts, describe_heads, heads
    from whyclip.bulk.result import read_bulk
    from whyclip.bulk.run import explain_bulk
    from whyclip.certificate import Certificate
    from whyclip.coco_json import save_coco
    from whyclip.datasets import open_dataset
    from whyclip.editing.result import Edits
    from whyclip.editing.score import edits
    from whyclip.explanation import Explanation
    from whyclip.integrations import explain_func
    from whyclip.interactions import Interaction, interaction
    from whyclip.iterate import explain_iter
    from whyclip.match import Match, Standing, Threshold
    from whyclip.matching import Reference, load_reference, reference
    from whyclip.models import ModelView, load, wrap
    from whyclip.registry import register
    from whyclip.render import comparison, figure
    from whyclip.render.layout import Layout
    from whyclip.render.panels import methods_figure, prompts_figure
    from whyclip.sparse_concepts import Concepts, concepts
    from whyclip.storage import load_explanation
    from whyclip.studies.audit import Audit, audit
    from whyclip.studies.benchmark import Benchmark, benchmark
    from whyclip.studies.evaluation import Evaluation, evaluate
    from whyclip.studies.experiments.reproduction import Reproduction
    from whyclip.studies.experiments.run import reproduce
    from whyclip.variant import Variant

__all__ = [
    "Audit",
    "Benchmark",
    "Box",
    "Certificate",
    "Concepts",
    "Edits",
    "Evaluation",
    "Explanation",
    "Geometry",
    "HeadTexts",
    "Heads",
    "Interaction",
    "Layout",
    "Match",
    "ModelView",
    "Point",
    "Reference",
    "Reproduction",
    "Standing",
    "Threshold",
    "Variant",
    "Word",
    "audit",
    "benchmark",
    "compare",
    "comparison",
    "concepts",
    "describe_heads",
    "edits",
    "errors",
    "evaluate",
    "explain",
    "explain_bulk",
    "explain_func",
    "explain_iter",
    "figure",
    "heads",
    "interaction",
    "load",
    "load_explanation",
    "load_reference",
    "methods",
    "methods_figure",
    "open_dataset",
    "prompts_figure",
    "read_bulk",
    "reference",
    "register",
    "reproduce",
    "save_coco",
    "wrap",
]

if not typing.TYPE_CHECKING:
    # Fetched when first used: torch takes seconds to import, and `whyclip --help` needs none.
    _HOMES = {
        "Audit": "whyclip.studies.audit",
        "Benchmark": "whyclip.studies.benchmark",
        "Certificate": "whyclip.certificate",
        "Concepts": "whyclip.sparse_concepts",
        "Evaluation": "whyclip.studies.evaluation",
        "Edits": "whyclip.editing.result",
        "Explanation": "whyclip.explanation",
        "HeadTexts": "whyclip.attention_heads",
        "Heads": "whyclip.attention_heads",
        "Interaction": "whyclip.interactions",
        "Layout": "whyclip.render.layout",
        "Match": "whyclip.match",
        "ModelView": "whyclip.models",
        "Reference": "whyclip.matching",
        "Reproduction": "whyclip.studies.experiments.reproduction",
        "Standing": "whyclip.match",
        "Threshold": "whyclip.match",
        "Variant": "whyclip.variant",
        "audit": "whyclip.studies.audit",
        "benchmark": "whyclip.studies.benchmark",
        "compare": "whyclip.api",
        "comparison": "whyclip.render",
        "concepts": "whyclip.sparse_concepts",
        "describe_heads": "whyclip.attention_heads",
        "edits": "whyclip.editing.score",
        "evaluate": "whyclip.studies.evaluation",
        "explain": "whyclip.api",
        "explain_bulk": "whyclip.bulk.run",
        "explain_func": "whyclip.integrations",
        "explain_iter": "whyclip.iterate",
        "figure": "whyclip.render",
        "heads": "whyclip.attention_heads",
        "interaction": "whyclip.interactions",
        "load": "whyclip.models",
        "load_explanation": "whyclip.storage",
        "load_reference": "whyclip.matching",
        "methods_figure": "whyclip.render.panels",
        "open_dataset": "whyclip.datasets",
        "prompts_figure": "whyclip.render.panels",
        "read_bulk": "whyclip.bulk.result",
        "reference": "whyclip.matching",
        "register": "whyclip.registry",
        "reproduce": "whyclip.studies.experiments.run",
        "save_coco": "whyclip.coco_json",
        "wrap": "whyclip.models",
    }

    def __getattr__(name):
        if name == "methods":
            return importlib.import_module("whyclip.methods")
        if name not in _HOMES:
            raise AttributeError(f"module 'whyclip' has no attribute {name!r}")
        globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
        return globals()[name]

    def __dir__():
        return sorted({*globals(), *__all__})
