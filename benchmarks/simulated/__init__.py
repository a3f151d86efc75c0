"""Ladders and tables whose truth is known, for the other benchmarks and for tests."""
