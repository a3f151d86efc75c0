"""Verbs that ask trained models: what they say, how likely a text is to them."""
