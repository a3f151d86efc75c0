"""The state of a pack on disk, from which training goes on to the same numbers."""
