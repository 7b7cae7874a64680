"""The model's own forward pass, and the parts of it that methods read."""
