"""Predictions of new runs by several laws, with intervals that are scored."""
