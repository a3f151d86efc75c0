"""Sources of training tokens: text, token shards, pairs, and generated ones."""
