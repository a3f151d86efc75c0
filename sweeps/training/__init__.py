"""Training of one pack of runs: steps, evaluation, checkpoints, devices."""
