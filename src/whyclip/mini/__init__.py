"""The embedded model's weights; how they were trained is in the folder ``training``."""
