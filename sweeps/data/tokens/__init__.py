"""From bytes to tokens, and tokens on disk."""
