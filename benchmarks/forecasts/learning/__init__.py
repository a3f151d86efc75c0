"""What ladders have in common, learned: the constants of a forecast's width, priors of its laws."""
