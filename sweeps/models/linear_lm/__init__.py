"""The linear language model `linear_lm/1`."""
