"""The embedded model: weights, how they were trained, and what they were measured to do."""
