"""Models of transformers as encoders."""
