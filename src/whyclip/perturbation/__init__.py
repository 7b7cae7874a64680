"""Changed images and texts, and the scores that a model gives them."""
