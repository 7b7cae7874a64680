"""Intervals, and correlations."""
