"""What people write besides tables: amounts, names and YAML, each with one reader."""
