"""Laws of more than compute, size and tokens: parts of models, experts, mixtures, rates."""
