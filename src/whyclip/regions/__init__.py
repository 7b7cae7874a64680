"""Region classification: which class does each box or mask of an image get."""
