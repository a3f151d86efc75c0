"""What sections of a config state their rules with."""
