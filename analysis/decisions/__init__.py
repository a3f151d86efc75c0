"""What to do with a budget: how to split it, and how much a loss costs."""
