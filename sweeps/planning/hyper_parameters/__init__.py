"""The hyper-parameters of a run, by the constants of a recipe."""
