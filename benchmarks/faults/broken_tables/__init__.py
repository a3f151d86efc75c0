"""Tables as people write them, and break them: what they measured, how it is spelt, its file."""
