"""Models of transformers as towers."""
