"""Cheats on sealed forecasts: the store and the hands of its owner, and what is tried in it."""
