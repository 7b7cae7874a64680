"""Image encoders of timm."""
