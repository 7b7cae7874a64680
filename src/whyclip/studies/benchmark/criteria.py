"""The benchmark's criteria, written down and committed before any result was looked at.

**Checks.** The interventional checks of the audit, with the audit's own thresholds, on scenes with
unseen seeds.

**Reliance.** In the models with a planted cue, relevance on the cue has to follow how much the
model relies on it. The test is Pearson's correlation of the relevance summed over the cue's patches
with the fall of the score in the scene drawn without the cue, over the images of the models trained
with that cue and, as models that do not rely on it, the ordinary ones. Its interval draws models
anew, then images. A method *passes* a cue if the whole interval is above ``LEAST_CORRELATION``,
*fails* if the whole interval is below, and is *undecided* else.

**The planted bad method.** The mask of the named object, whatever the model does, must fail on
badges: a badge lies outside of every object.

**Defaults.** For each side, the methods are ranked in every interventional check on every ordinary
model. The default is the method with the best mean rank over checks and models, among those that
are not slow, whose scope is the model's score, and that support every family of encoders; a method
that supports only some of them may be the default there if another one is named as fall-back for
the rest. Where the intervals of the mean ranks' difference include 0, today's default stays.

**Changed after the first results**, for two reasons that do not depend on which method wins:

- The interval of that difference was one over models and checks. Four checks are no sample: it was
  [-15, 9] for ranks 1 to 13. It is over models now, with the checks fixed, as the rule says "over
  checks and models" for the mean and names no other checks.
- A cue on which the models trained with it rely by less than ``LEAST_RELIANCE`` is not judged. The
  model with written words ignores them (0.02), so no map can be asked to show them.
"""

from __future__ import annotations

CHECKS = (
    "removed_objects",
    "recoloured_objects",
    "exchanged_words",
    "exchanged_prompts",
    "interaction",
)
"""The interventional checks of the audit."""

LEAST_CORRELATION = 0.5
"""Least correlation of the relevance on a cue with the reliance on it."""

LEAST_RELIANCE = 0.1
"""Least mean fall of the cosine without the cue, in the models trained with it."""

NO_RELIANCE = "ordinary"
"""Kind of the models that are the zero of the reliance on every cue."""
