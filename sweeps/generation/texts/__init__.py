"""Texts through runs that kept their weights: continued, scored, counted, read as contexts."""
