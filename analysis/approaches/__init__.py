"""Simpler ways to a compute-optimal split, as cross-checks: frontier, envelope, IsoFLOP curves."""
