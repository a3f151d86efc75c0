"""Verbs that make pages: the report, a study that ends in one, the live dashboard."""
