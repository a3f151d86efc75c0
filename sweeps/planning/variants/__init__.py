"""Plans made of a plan: other constants, other recipes, fewer sizes."""
