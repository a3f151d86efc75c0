"""Scaling laws as values: each says its form, symbols, units and source."""
