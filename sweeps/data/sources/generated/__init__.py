"""Generated sources, whose entropy is known exactly: chains, grammars, sentences, contexts."""
