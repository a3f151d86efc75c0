"""Is each model size trained equally well, and what follows for a fit?"""
