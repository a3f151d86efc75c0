"""Laws of any variables, found from runs and ranked by how they extrapolate."""
