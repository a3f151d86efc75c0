"""Studies of theory beside the laws: what the literature proves, measured on this machine."""
