"""What is said of a plan before anything is spent: what it can answer, and its tables."""
