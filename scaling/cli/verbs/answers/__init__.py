"""Verbs that answer from runs, and those that bring runs to where they are read."""
