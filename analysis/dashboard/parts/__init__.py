"""What several pages are made of: budgets, devices, downloads, answers in a line, what changed."""
