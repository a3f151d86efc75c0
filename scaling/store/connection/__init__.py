"""The way to the store: addresses, the client, the database file, and patience with both."""
