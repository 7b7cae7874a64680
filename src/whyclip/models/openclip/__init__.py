"""OpenCLIP's models as towers."""
