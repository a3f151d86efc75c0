"""Which rows are runs: histories, repeats, sums of other rows, filters, and rows left out."""
