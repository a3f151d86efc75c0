"""Ways to get processes to train in."""
