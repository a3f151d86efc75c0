"""A config in writing: what each setting is, a file with all of them, a schema, what differs."""
