"""The embedded model's weights. The folder ``training`` has the training code."""
