"""Sources of training tokens: text, token shards, pairs, and generated ones of known entropy."""
