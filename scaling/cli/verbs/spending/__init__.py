"""Verbs that spend compute, or look at what it was spent on."""
