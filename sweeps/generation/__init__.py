"""What trained models say: weights that are kept, text that is sampled, text that is scored."""
