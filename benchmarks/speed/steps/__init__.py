"""Our training step ready to be timed, the models whose training is timed, what it is beside."""
