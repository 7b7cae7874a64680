"""The benchmark's criteria, written down and committed before any result was known.

**Checks.** The interventional checks of the audit, with the audit's thresholds, on scenes with
unseen seeds.

**Reliance.** In models with a planted cue, relevance on the cue must follow the model's reliance on
it. The test is the Pearson correlation between the relevance summed over the cue's patches and the
score drop when the scene is drawn without the cue. It is computed over the images of the models
trained with that cue and of the ordinary models, which do not rely on it. The interval resamples
models, then images. A method *passes* a cue if the whole interval is above ``LEAST_CORRELATION``,
*fails* if the whole interval is below, and is *inconclusive* otherwise.

**The planted bad method.** The mask of the named object, independent of the model, must fail on
badges, because a badge lies outside of every object.

**Defaults.** For each side, methods are ranked in every interventional check on every ordinary
model. The default is the method with the best mean rank over checks and models among the methods
that are not slow, whose scope is the model's score, and that support every family of encoders. A
method that supports only some families can be their default if another method is named as fallback
for the rest. If the interval of the difference in mean rank includes 0, the current default stays.

**Changed after the first results**, for two reasons that do not depend on the winning method:

- The interval of that difference was over models and checks. Four checks are not a sample: the
  interval was [-15, 9] for ranks 1 to 13. It is now over models, with fixed checks, because the
  rule says "over checks and models" for the mean and names no other checks.
- A cue is not judged if the mean reliance of its models is below ``LEAST_RELIANCE``. The model with
  written words ignores them (0.02), so a faithful map does not show them.
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
"""Lowest passing correlation of the relevance on a cue with the reliance on it."""

LEAST_RELIANCE = 0.1
"""Lowest mean drop of the cosine without the cue, in the models trained with it."""

NO_RELIANCE = "ordinary"
"""Kind of the models without reliance on any cue."""
