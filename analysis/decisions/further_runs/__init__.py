"""Which runs to buy next, whether they were worth it, and what open runs would change."""
