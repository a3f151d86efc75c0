"""One run in the store: where it stands, what it writes, and the word that it may stop."""
