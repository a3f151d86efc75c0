"""From anybody's file to a table under our names: files, numbers, spellings, statuses, runs."""
