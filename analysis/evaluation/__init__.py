"""Was a forecast right? Backtests, held-out runs, sealed forecasts, and their scores."""
