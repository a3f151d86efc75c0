"""The constants of one law: the best fit, its bootstrap, and what the runs can identify."""
