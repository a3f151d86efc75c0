"""The verbs of the command, by what they call; each is the mirror of one library function."""
