"""What one call on a machine with a GPU shows, by stages: what is right, and how fast it is."""
