"""What the toolkit is worth, measured: each prints a table and writes JSON; rooms by question."""
