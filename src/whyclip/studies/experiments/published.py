"""Methods as they were published, with where it says so: the one place for experiments to look.

The paper of Grad-ECLIP writes its equations for one head over the whole width; its released code
moreover compares query and key after ``out_proj``. Both explain another computation than the
model's own, which has several heads.
"""

from __future__ import annotations

NAME = "Grad-ECLIP, as published"

# Zhao et al., ICML 2024, arXiv 2502.18816, equations 5 to 8: o, q, k and v of a single head.
GRAD_ECLIP_PAPER = "grad_eclip:heads=single"
# The released code of the same: λ is the cosine of query and key after the output projection.
GRAD_ECLIP_RELEASE = "grad_eclip:heads=single:qk=out_proj"
# As the paper compares it: weighed by the keys.
MASKCLIP_PAPER = "maskclip:key_weight=true"
