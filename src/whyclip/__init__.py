"""whyclip: why did this image match this text?

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
from whyclip.types import Box, Geometry, Word

if typing.TYPE_CHECKING:
    from whyclip import methods
    from whyclip.api import compare, explain
    from whyclip.bulk import explain_bulk, read_bulk
    from whyclip.certificate import Certificate
    from whyclip.datasets import open_dataset
    from whyclip.explanation import Explanation
    from whyclip.integrations import explain_func
    from whyclip.interactions import Interaction, interaction
    from whyclip.iterate import explain_iter
    from whyclip.models import ModelView, load, wrap
    from whyclip.registry import register
    from whyclip.render import comparison, figure
    from whyclip.storage import load_explanation
    from whyclip.variant import Variant

__all__ = [
    "Box",
    "Certificate",
    "Explanation",
    "Geometry",
    "Interaction",
    "ModelView",
    "Variant",
    "Word",
    "compare",
    "comparison",
    "errors",
    "explain",
    "explain_bulk",
    "explain_func",
    "explain_iter",
    "figure",
    "interaction",
    "load",
    "load_explanation",
    "methods",
    "open_dataset",
    "read_bulk",
    "register",
    "wrap",
]

if not typing.TYPE_CHECKING:
    # Fetched when first used: torch takes seconds to import, and `whyclip --help` needs none.
    _HOMES = {
        "Certificate": "whyclip.certificate",
        "Explanation": "whyclip.explanation",
        "Interaction": "whyclip.interactions",
        "ModelView": "whyclip.models",
        "Variant": "whyclip.variant",
        "compare": "whyclip.api",
        "comparison": "whyclip.render",
        "explain": "whyclip.api",
        "explain_bulk": "whyclip.bulk.run",
        "explain_func": "whyclip.integrations",
        "explain_iter": "whyclip.iterate",
        "figure": "whyclip.render",
        "interaction": "whyclip.interactions",
        "load": "whyclip.models",
        "load_explanation": "whyclip.storage",
        "open_dataset": "whyclip.datasets",
        "read_bulk": "whyclip.bulk.result",
        "register": "whyclip.registry",
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
