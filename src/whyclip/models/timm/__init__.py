"""Image encoders of timm as towers."""
