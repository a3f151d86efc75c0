"""Published laws whose inputs are not compute, or size and tokens, alone."""
