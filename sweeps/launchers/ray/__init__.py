"""Workers as tasks of a Ray cluster."""
