"""One law for groups of runs: split, fitted together or apart, as one result."""
