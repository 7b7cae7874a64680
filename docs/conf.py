"""Sphinx configuration; `make docs` builds into site/, with every warning an error."""

import sys
from pathlib import Path

import whyclip

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "whyclip"
author = "The whyclip authors"
copyright = author
version = release = whyclip.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "methods_table",
    "checks_list",
    "metrics_table",
    "datasets_table",
    "cli_reference",
]
html_theme = "furo"
html_title = f"whyclip {release}"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["formulas.css"]
html_copy_source = False
html_extra_path = ["llms.txt"]

exclude_patterns = ["_ext", "_static"]
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
