"""Images as sequences of tokens: read, labelled, and given as a corpus."""
