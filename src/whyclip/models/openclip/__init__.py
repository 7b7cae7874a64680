"""OpenCLIP's models as encoders."""
