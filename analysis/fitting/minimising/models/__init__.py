"""A law on given runs: predictions and derivatives in search coordinates, in batches."""
