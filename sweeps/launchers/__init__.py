"""Ways to get worker processes: on this machine, on Ray, on Slurm."""
