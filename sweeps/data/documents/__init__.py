"""Documents in files: found, read as texts or pairs, summed up; files written whole or not."""
