"""Which of two recipes is better: cells that both have, paired, and compute that one saves."""
