"""Studies of explanations over a dataset: evaluations, audits and experiments."""
