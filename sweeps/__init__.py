"""What spends compute: sweep configs, plans, models, data, training."""
