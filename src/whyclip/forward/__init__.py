"""The model's own forward pass, and what methods read of it."""
