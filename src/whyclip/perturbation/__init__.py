"""Perturbed images and prompts, and their scores."""
