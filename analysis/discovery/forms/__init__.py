"""Forms of laws: their factors, how they grow, and how they are fitted to a table."""
