"""Published forms of the methods with their sources, shared by all experiments.

The equations of the Grad-ECLIP paper use one head over the whole width. Its released code also
compares query and key after ``out_proj``. Both explain another computation than the model's, which
has several heads.
"""

from __future__ import annotations

NAME = "Grad-ECLIP, as published"

# Zhao et al., ICML 2024, arXiv 2502.18816, equations 5 to 8: o, q, k and v of a single head.
GRAD_ECLIP_PAPER = "grad_eclip:heads=single"
# Released code of the same paper: λ is the cosine of query and key after the output projection.
GRAD_ECLIP_RELEASE = "grad_eclip:heads=single:qk=out_proj"
# As compared in the paper: weighted by the keys.
MASKCLIP_PAPER = "maskclip:key_weight=true"
