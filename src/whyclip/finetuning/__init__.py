"""Fine-tuning of a CLIP-like model so that words find their regions."""
