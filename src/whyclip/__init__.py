"""whyclip: why did this image match this text?

    import whyclip
    model = whyclip.load("mini")
    ex = whyclip.explain(model, "scene.png", ["a dog", "a red car"])
    ex.show()
"""

from whyclip import errors, methods
from whyclip.explain import compare, explain
from whyclip.explanation import Certificate, Explanation
from whyclip.model import ModelView, load, wrap
from whyclip.storage import load_explanation
from whyclip.types import Box, Geometry, Word

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Certificate",
    "Explanation",
    "Geometry",
    "ModelView",
    "Word",
    "compare",
    "errors",
    "explain",
    "load",
    "load_explanation",
    "methods",
    "wrap",
]
