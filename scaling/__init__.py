"""What the toolkit knows: records of runs, scaling laws, shapes and FLOP, errors."""
