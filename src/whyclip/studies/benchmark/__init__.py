"""The benchmark: explanation methods over a family of models, by interventions."""
