"""Tokens from a model, one after another: drawn by a stated rule or greedily, and as pictures."""
