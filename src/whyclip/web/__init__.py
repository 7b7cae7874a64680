"""``whyclip web``: a page in the browser around the model, on this machine alone.

    browser ─► guard (who may ask) ─► app (routes) ─► worker (one thread) ─► answers ─► state

Everything that computes runs in one worker thread, behind a queue of bounded length. Images and
forward passes are kept within a budget of bytes. See ``limits.py`` for every limit.
"""
