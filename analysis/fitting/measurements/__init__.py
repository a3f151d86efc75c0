"""What a table of runs is before any law is fitted: its reach, its frontier, its signal."""
