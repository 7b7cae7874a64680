"""Perturbed images and texts, and their scores."""
