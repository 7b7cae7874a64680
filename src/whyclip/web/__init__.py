"""``whyclip web``: a browser page for the model, served on this machine only.

    browser ─► guard (access) ─► app (routes) ─► worker (one thread) ─► answers ─► state

All computation runs in one worker thread, with a queue of limited length. Images and forward passes
are cached up to a number of bytes. See ``limits.py`` for all limits.
"""
