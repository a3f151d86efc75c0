"""A law on runs as a sum of penalties, and the search for its least value, in batches."""
