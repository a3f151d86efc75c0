"""What trained models say: their kept weights, what they generate, and how good it is."""
