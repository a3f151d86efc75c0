"""Sources of training data: each delivers a Corpus."""
