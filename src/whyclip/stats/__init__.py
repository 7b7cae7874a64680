"""Confidence intervals, tests and correlations."""
