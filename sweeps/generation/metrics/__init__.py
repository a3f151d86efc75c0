"""What is measured of a trained model: log-likelihoods, probes, baselines, translations."""
