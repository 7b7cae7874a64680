"""Training and evaluation of ``mini``; not part of the wheel."""
