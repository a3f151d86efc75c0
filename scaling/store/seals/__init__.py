"""Sealed forecasts in the run store: kept for ever, chained, held against what was published."""
