"""How mini was trained and measured; not in the wheel."""
