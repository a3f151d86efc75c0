"""From a config to every hyper-parameter of every run: pure, in seconds, without a device."""
