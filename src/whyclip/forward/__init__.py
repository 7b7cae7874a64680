"""The model's forward pass, and the parts of it that methods use."""
