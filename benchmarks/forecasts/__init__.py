"""Are forecasts right? On simulated, published and our own ladders, and what priors they teach."""
