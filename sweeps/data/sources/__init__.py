"""Sources of training tokens: text, token shards, chains of known entropy."""
